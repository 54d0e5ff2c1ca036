"""IDX folders, in all the spellings they come in."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from transfuse.data.open import index, open_data, signature
from transfuse.data.split import partition
from transfuse.errors import UserError

RNG = np.random.default_rng(0)
TRAIN, TEST = (RNG.integers(0, 256, (count, 4, 3), dtype=np.uint8) for count in (12, 5))
LABELS = np.arange(12, dtype=np.uint8) % 2, np.arange(5, dtype=np.uint8) % 2


def written(folder: Path, *, dot: str = "-", last: str = "t10k", packed: bool = False, leave_out: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    arrays = {"train-images": TRAIN, "train-labels": LABELS[0], f"{last}-images": TEST, f"{last}-labels": LABELS[1]}
    for name, array in arrays.items():
        content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
        path = folder / f"{name}{dot}idx{array.ndim}-ubyte"
        if name != leave_out:
            path.with_name(path.name + ".gz" * packed).write_bytes(gzip.compress(content) if packed else content)
    return folder


@pytest.mark.parametrize("dot", ["-", "."])
@pytest.mark.parametrize("last", ["t10k", "test"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_spelling_gives_the_same_items(tmp_path: Path, dot, last, packed):
    written(tmp_path / "a", dot=dot, last=last, packed=packed)
    assert index("idx:a", tmp_path) == index(f"idx:{written(tmp_path / 'b')}", tmp_path)


def test_items_and_pixels_belong_together(tmp_path: Path):
    written(tmp_path / "a", packed=True)
    data = open_data("idx:a", tmp_path)
    assert data.items.ids[0] == "train/00000" and data.items.ids[-1] == "test/00004"
    assert data.items.splits == ("train",) * 12 + ("test",) * 5
    assert data.items.labels[12:] == ("0", "1", "0", "1", "0")
    np.testing.assert_array_equal(data.raw(3), TRAIN[3])
    np.testing.assert_array_equal(data.raw(14), TEST[2])
    assert len(set(data.items.digests)) == 17


def test_the_test_file_is_the_locked_test(tmp_path: Path):
    made = partition(index(f"idx:{written(tmp_path / 'a')}", tmp_path), splits={"train": 6, "val": 4, "test": "all"})
    assert made.protocol == "locked"
    assert [run.judge.tolist() for run in made.runs] == [list(range(12, 17))] * 5
    assert all(run.train.max() < 12 for run in made.runs)


def test_of_two_forms_the_uncompressed_is_read(tmp_path: Path):
    written(tmp_path / "a", packed=True)
    before = signature("idx:a", tmp_path)
    for path in written(tmp_path / "a").glob("*.gz"):
        path.write_bytes(b"torn")
    assert len(index("idx:a", tmp_path)) == 17
    assert signature("idx:a", tmp_path) != before


@pytest.mark.parametrize("left_out", ["train-labels", "t10k-images"])
def test_a_missing_file_is_named(tmp_path: Path, left_out):
    written(tmp_path / "a", leave_out=left_out)
    with pytest.raises(UserError, match=f"no {left_out}"):
        index("idx:a", tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"folder not found[\s\S]*absent"):
        index("idx:absent", tmp_path)


def test_images_and_labels_of_different_sets_are_refused(tmp_path: Path):
    folder = written(tmp_path / "a")
    (folder / "t10k-labels-idx1-ubyte").write_bytes((folder / "train-labels-idx1-ubyte").read_bytes())
    with pytest.raises(UserError, match="do not belong together"):
        index("idx:a", tmp_path)
    (folder / "t10k-images-idx3-ubyte").write_bytes((folder / "t10k-labels-idx1-ubyte").read_bytes())
    with pytest.raises(UserError, match="no grey images"):
        index("idx:a", tmp_path)


def test_a_changed_folder_does_not_fit_old_items(tmp_path: Path):
    written(tmp_path / "a")
    items = index("idx:a", tmp_path)
    with pytest.raises(UserError, match="have changed"):
        open_data("idx:a", tmp_path, items.take(range(16)))
