"""`idx:DIR` is a folder with four IDX files, as MNIST comes; without this reader its relatives would need converting.

Items are `train/00000` and so on, and `test/00000`; the train file is the train split, the t10k or test file the test
split. `-` and `.` before `idx`, and `.gz`, all work; where a file lies there twice, the uncompressed one is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.data.items import Items, array_digest, table
from transfuse.errors import UserError
from transfuse.files.arrays import read_idx

TRAITS = {"form": "idx:DIR"}
FILE = re.compile(r"(?P<part>train|t10k|test)-(?P<kind>images|labels)[-.]idx[13][-.]ubyte(\.gz)?")
PARTS = {"train": "train", "t10k": "test", "test": "test"}


def matches(spec: Any) -> bool:
    """Strings that begin with `idx:`."""
    return isinstance(spec, str) and spec.startswith("idx:")


def files(spec: str, root: Path) -> list[Path]:
    """Train images and labels, test images and labels, in this order."""
    folder = _folder(spec, root)
    found = _found(folder)
    wanted = [(part, kind) for part in ("train", "test") for kind in ("images", "labels")]
    missing = [f"{'t10k' if part == 'test' else part}-{kind}" for part, kind in wanted if (part, kind) not in found]
    if missing:
        expected = "train-images-idx3-ubyte, train-labels-idx1-ubyte and the same with t10k, .gz or not"
        raise UserError(
            "IDX files are missing", where=str(folder), expected=expected, got="no " + ", no ".join(missing)
        )
    return [found[key] for key in wanted]


def index(spec: str, root: Path) -> Items:
    """All items, the train file's first; labels are the digits' names `0` to `255`."""
    paths = files(spec, root)
    ids: list[str] = []
    labels: list[str] = []
    digests: list[str] = []
    splits: list[str] = []
    for part, images_path, labels_path in (("train", paths[0], paths[1]), ("test", paths[2], paths[3])):
        images, targets = _images(images_path), read_idx(labels_path)
        if targets.shape != images.shape[:1]:
            got = f"{len(images)} images, labels of shape {list(targets.shape)}"
            raise UserError("IDX images and labels do not belong together", where=str(labels_path), got=got)
        ids += [f"{part}/{row:05d}" for row in range(len(images))]
        labels += [str(target) for target in targets.tolist()]
        digests += [array_digest(image) for image in images]
        splits += [part] * len(images)
    return table(ids, labels, digests, splits=splits, where=str(_folder(spec, root)))


def reader(spec: str, root: Path, items: Items) -> Callable[[int], np.ndarray]:
    """Pixels `[H, W]` uint8 by row."""
    train_images, _, test_images, _ = files(spec, root)
    train, test = _images(train_images), _images(test_images)
    if len(train) + len(test) != len(items):
        raise UserError("IDX files have changed since they were indexed", where=str(_folder(spec, root)))
    return lambda row: train[row] if row < len(train) else test[row - len(train)]


def _folder(spec: str, root: Path) -> Path:
    folder = root / Path(spec.removeprefix("idx:")).expanduser()
    if not folder.is_dir():
        raise UserError("folder not found", where=str(folder))
    return folder


def _found(folder: Path) -> dict[tuple[str, str], Path]:
    found: dict[tuple[str, str], Path] = {}
    # Reversed, so that of `a` and `a.gz` the shorter name is seen last and stays.
    for path in sorted(folder.iterdir(), reverse=True):
        if named := FILE.fullmatch(path.name):
            found[PARTS[named["part"]], named["kind"]] = path
    return found


def _images(path: Path) -> np.ndarray:
    images = read_idx(path)
    if images.ndim != 3:
        raise UserError(
            "IDX file holds no grey images", where=str(path), expected="[N, H, W]", got=f"shape {list(images.shape)}"
        )
    return images
