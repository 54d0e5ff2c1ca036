"""Without this file the clip-art archive would be thousands of odd files and no data set: choose, place and shrink.

The choice rests on names and sizes alone, never on what a picture shows or on how well a network does with it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from PIL import Image

from asset_archives import members
from transfuse.errors import UserError
from transfuse.files.images import check_header, decode

BELOW = "usr/share/openclipart/png"
# The ten largest folders that name a subject ("unsorted" and "special" do not).
CLASSES = (
    "animals", "computer", "food", "geography", "people",
    "recreation", "shapes", "signs_and_symbols", "tools", "transportation",
)  # fmt: skip
MOST_PIXELS = 4_000_000
SHORTEST_SIDE = 32
WRITTEN_SIDE = 256


def choose_clipart(path: Path, folder: Path, per_class: int = 120) -> int:
    """Write at most `per_class` drawings of each of ten subjects into `folder`/CLASS/; gives their number.

    Of the files with at most 4 megapixels and no side below 32 pixels, by their headers, each class takes those whose
    names hash lowest (SHA-256). They are laid on white and shrunk until the shorter side has at most 256 pixels.
    Errors: an archive that lacks a class.
    """
    found: dict[str, list[tuple[str, PurePosixPath, bytes]]] = {name: [] for name in CLASSES}
    for name, read in members(path):
        place = PurePosixPath(name)
        subject = place.relative_to(BELOW).parts[0] if place.is_relative_to(BELOW) else ""
        if subject in found and place.suffix == ".png" and _usable(content := read(), name):
            found[subject].append((hashlib.sha256(name.encode()).hexdigest(), place.relative_to(BELOW), content))
    lacking = [subject for subject, files in found.items() if not files]
    if lacking:
        raise UserError("the archive lacks the expected files", where=str(path), expected=", ".join(lacking))
    chosen = [entry for files in found.values() for entry in sorted(files)[:per_class]]
    for _, place, content in chosen:
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        _shrunk(content, str(place)).save(target)
    return len(chosen)


def _usable(content: bytes, name: str) -> bool:
    try:
        width, height = check_header(content, name)
    except UserError:
        return False
    return width * height <= MOST_PIXELS and min(width, height) >= SHORTEST_SIDE


def _shrunk(content: bytes, where: str) -> Image.Image:
    image = Image.fromarray(decode(content, where)).convert("RGB")
    scale = min(1.0, WRITTEN_SIDE / min(image.size))
    size = (round(image.width * scale), round(image.height * scale))
    return image if scale == 1.0 else image.resize(size, Image.Resampling.BILINEAR)
