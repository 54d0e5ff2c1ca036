"""The clip-art set: chosen by name and size alone, placed on white, the same again."""

import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image

from asset_pictures import BELOW, CLASSES, choose_clipart
from tools.example_archives import make_deb
from transfuse.errors import UserError
from transfuse.files.images import read_image


def png(width: int, height: int, mode: str = "RGB", color: object = "red") -> bytes:
    held = io.BytesIO()
    Image.new(mode, (width, height), color).save(held, "PNG")
    return held.getvalue()


def archive(folder: Path, files: dict[str, bytes]) -> Path:
    every = {f"{BELOW}/{name}/plain.png": png(40, 40) for name in CLASSES}
    return make_deb(folder / "a.deb", every | {f"{BELOW}/{name}": content for name, content in files.items()})


def written(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_odd_sizes_other_subjects_and_torn_files_are_left_out(tmp_path):
    files = {
        "food/huge.png": png(2001, 2000),
        "food/edge.png": png(2000, 2000),
        "food/sliver.png": png(300, 31),
        "food/fruit/apple.png": png(32, 32),
        "food/torn.png": b"no image",
        "food/readme.txt": b"text",
        "unsorted/one.png": png(40, 40),
    }
    count = choose_clipart(archive(tmp_path, files), tmp_path / "set")
    found = written(tmp_path / "set")
    assert {name for name in found if not name.endswith("plain.png")} == {"food/edge.png", "food/fruit/apple.png"}
    assert count == len(found) == len(CLASSES) + 2


def test_the_lowest_hashes_of_names_are_taken(tmp_path):
    names = [f"food/{number}.png" for number in range(12)]
    choose_clipart(archive(tmp_path, {name: png(40, 40) for name in names}), tmp_path / "set", per_class=3)
    every = sorted([*names, "food/plain.png"], key=lambda name: hashlib.sha256(f"{BELOW}/{name}".encode()).hexdigest())
    assert {name for name in written(tmp_path / "set") if name.startswith("food/")} == set(every[:3])


def test_transparency_becomes_white_and_large_drawings_shrink_whole(tmp_path):
    clear = png(600, 400, "RGBA", (0, 0, 0, 0))
    choose_clipart(archive(tmp_path, {"tools/clear.png": clear, "tools/small.png": png(50, 90)}), tmp_path / "set")
    large = read_image(tmp_path / "set" / "tools" / "clear.png")
    assert (large.shape, large.min()) == ((256, 384, 3), 255)
    assert read_image(tmp_path / "set" / "tools" / "small.png").shape == (90, 50, 3)


def test_a_smaller_set_is_part_of_the_larger(tmp_path):
    source = archive(tmp_path, {f"food/{number}.png": png(40, 40) for number in range(9)})
    choose_clipart(source, tmp_path / "large", per_class=6)
    choose_clipart(source, tmp_path / "small", per_class=2)
    small, large = written(tmp_path / "small"), written(tmp_path / "large")
    assert small < large
    assert sum(name.startswith("food/") for name in small) == 2


def test_an_archive_without_a_subject_is_refused(tmp_path):
    bare = make_deb(tmp_path / "a.deb", {f"{BELOW}/food/a.png": png(40, 40)})
    with pytest.raises(UserError, match=r"lacks the expected files[\s\S]*animals"):
        choose_clipart(bare, tmp_path / "set")
    assert not (tmp_path / "set").exists()
