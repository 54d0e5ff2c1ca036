"""Folders of images without labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from transfuse.data.open import index, open_data
from transfuse.errors import UserError


def test_every_image_below_the_folder_is_an_item_without_a_label(tmp_path: Path, photo):
    for name in ("p/b.png", "p/deep/er/a.png", "p/.hidden/x.png", "p/.x.png"):
        photo(name)
    (tmp_path / "p" / "notes.txt").write_text("no image")
    items = index("images:p", tmp_path)
    assert items.ids == ("b.png", "deep/er/a.png")
    assert items.labels == (None, None) and items.classes == ()


def test_pixels_are_those_of_the_files(tmp_path: Path, photo):
    photo("p/a.png")
    photo("p/deep/b.png")
    flat, classed = open_data("images:p/deep", tmp_path), open_data("images:p", tmp_path)
    np.testing.assert_array_equal(flat.raw(0), classed.raw(1))


@pytest.mark.parametrize(("spec", "message"), [("images:q", "no such folder"), ("images:empty", "no image here")])
def test_nothing_to_read_is_one_clean_message(tmp_path: Path, spec: str, message: str):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        index(spec, tmp_path)


def test_a_torn_image_is_named(tmp_path: Path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UserError, match=r"torn\.png"):
        index("images:p", tmp_path)
