"""Folders of classes, with and without splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transfuse.data.open import index, open_data
from transfuse.errors import UserError


def test_class_folders_become_a_table(tmp_path: Path, photo):
    for name in (
        "p/dog/b.png",
        "p/cat/deep/a.PNG",
        "p/cat/b.jpg",
        "p/cat/notes.txt",
        "p/.hidden/x.png",
        "p/cat/.x.png",
    ):
        photo(name) if not name.endswith("txt") else (tmp_path / name).write_text("no image")
    items = index("p", tmp_path)
    assert items.ids == ("cat/b.jpg", "cat/deep/a.PNG", "dog/b.png")
    assert items.labels == ("cat", "cat", "dog")
    assert items.splits == (None, None, None) and items.groups is None


def test_split_folders_declare_splits(tmp_path: Path, photo):
    for name in ("train/cat/1.png", "train/dog/1.png", "valid/cat/2.png", "test/dog/3.png"):
        photo(name)
    items = index(".", tmp_path)
    assert items.ids == ("test/dog/3.png", "train/cat/1.png", "train/dog/1.png", "valid/cat/2.png")
    assert items.splits == ("test", "train", "train", "val")
    assert items.classes == ("cat", "dog")


def test_train_may_be_a_class_of_its_own(tmp_path: Path, photo):
    for name in ("train/1.png", "bus/1.png"):
        photo(name)
    assert index(".", tmp_path).classes == ("bus", "train")


def test_pixels_are_those_of_the_files(tmp_path: Path, photo):
    paths = [photo("cat/1.png"), photo("dog/1.png")]
    data = open_data(".", tmp_path)
    for row, path in enumerate(paths):
        np.testing.assert_array_equal(data.raw(row), np.asarray(Image.open(path)))


def test_a_copied_file_has_the_same_digest(tmp_path: Path, photo):
    path = photo("cat/1.png")
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "copy.png").write_bytes(path.read_bytes())
    photo("dog/other.png")
    digests = index(".", tmp_path).digests
    assert digests[0] == digests[1] != digests[2]


def test_an_empty_class_folder_is_named(tmp_path: Path, photo):
    photo("cat/1.png")
    (tmp_path / "dog").mkdir()
    with pytest.raises(UserError, match=r"empty class folders[\s\S]*dog"):
        index(".", tmp_path)


def test_corrupt_images_are_all_named_at_once(tmp_path: Path, photo):
    photo("cat/1.png")
    for name in ("cat/2.png", "cat/3.jpg"):
        (tmp_path / name).write_bytes(b"not an image")
    with pytest.raises(UserError, match=r"\(2\)[\s\S]*cat/2\.png[\s\S]*cat/3\.jpg"):
        index(".", tmp_path)


def test_a_torn_image_is_named_when_it_is_read(tmp_path: Path, photo):
    path = photo("cat/1.png")
    path.write_bytes(path.read_bytes()[:-40])
    photo("dog/1.png")
    data = open_data(".", tmp_path)
    assert data.raw(1).shape == (5, 6, 3)
    with pytest.raises(UserError, match=r"cat/1\.png"):
        data.raw(0)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "no class folders"),
        (("1.png", "cat/1.png"), "outside the class folders"),
        (("train/1.png", "train/cat/1.png", "test/cat/1.png"), r"outside the class folders[\s\S]*train"),
        (("train/cat/1.png", "test/cat/1.png", "dog/1.png"), "mixed"),
    ],
)
def test_layouts_without_a_clear_meaning_are_refused(tmp_path: Path, photo, names, message):
    for name in names:
        photo(name)
    with pytest.raises(UserError, match=message):
        index(".", tmp_path)


def test_a_split_folder_without_classes_is_refused(tmp_path: Path, photo):
    photo("train/cat/1.png")
    (tmp_path / "test").mkdir()
    with pytest.raises(UserError, match=r"no class folders[\s\S]*test"):
        index(".", tmp_path)


@pytest.mark.parametrize(
    ("name", "message"), [("absent", "data folder not found"), ("a.txt", "not a folder of images")]
)
def test_what_is_no_folder_is_one_clean_message(tmp_path: Path, name, message):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UserError, match=message):
        index(name, tmp_path)
