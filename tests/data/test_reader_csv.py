"""Tables of paths, and tables of pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from transfuse.data.open import index, open_data, signature, unlabelled
from transfuse.errors import UserError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "sheet" / "labels.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def paths(tmp_path: Path, photo) -> Path:
    for name in ("sheet/a.png", "sheet/in/b.png", "c.png"):
        photo(name)
    head = "\ufefffile,species,camera,part,more\n"
    rows = 'a.png,"lion, old",k1,train,1\nin/b.png,,k1,validation,2\n\n../c.png,ant,k2,,3\n'
    return written(tmp_path, head + rows)


SPEC = {"csv": "sheet/labels.csv", "path": "file", "label": "species", "group": "camera", "split": "part"}


def test_columns_are_read_by_their_names(tmp_path: Path, paths):
    items = index(SPEC, tmp_path)
    assert items.ids == ("a.png", "in/b.png", "../c.png")
    assert items.labels == ("lion, old", None, "ant")
    assert items.groups == ("k1", "k1", "k2")
    assert items.splits == ("train", "val", None)
    assert open_data(SPEC, tmp_path).raw(1).shape == (5, 6, 3)


def test_a_table_without_labels_is_read_where_that_is_said(tmp_path: Path, paths):
    items = index({"csv": "sheet/labels.csv", "path": "file", "label": None}, tmp_path)
    assert items.labels == (None, None, None) and items.classes == ()
    with pytest.raises(UserError, match="unknown column 'label'"):
        index({"csv": "sheet/labels.csv", "path": "file"}, tmp_path)


def test_a_table_to_be_answered_has_the_recipes_names_where_they_are_here(tmp_path: Path, paths):
    asked = {"csv": "sheet/labels.csv"}
    names = {"path": "file", "label": ["species", "gone"], "group": "gone", "text": "body"}
    wanted = {**asked, "path": "file", "text": "body", "label": ["species"]}
    assert unlabelled("sheet/labels.csv", tmp_path, names) == wanted
    assert unlabelled({**asked, "path": "more"}, tmp_path, {"path": "file"}) == {**asked, "path": "more", "label": None}
    written(tmp_path, "label,path\nx,a.png\n")
    assert unlabelled("sheet/labels.csv", tmp_path, {"path": "file", "label": "species"}) == asked
    assert unlabelled("photos/", tmp_path, names) == "photos/"


def test_the_standard_names_need_no_mapping(tmp_path: Path, photo):
    photo("sheet/a.png")
    written(tmp_path, "label,path\nx,a.png\n")
    for spec in ("csv:sheet/labels.csv", "sheet/labels.csv", {"csv": "sheet/labels.csv"}):
        items = index(spec, tmp_path)
        assert (items.ids, items.labels, items.groups) == (("a.png",), ("x",), None)


def test_the_signature_follows_table_and_images(tmp_path: Path, paths):
    first = signature(SPEC, tmp_path)
    (tmp_path / "c.png").write_bytes((tmp_path / "c.png").read_bytes() + b"\0")
    second = signature(SPEC, tmp_path)
    paths.write_text(paths.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    third = signature(SPEC, tmp_path)
    assert len({first, second, third, signature({**SPEC, "label": "more"}, tmp_path)}) == 4


def test_the_signature_names_an_image_that_has_gone(tmp_path: Path, paths):
    (tmp_path / "c.png").unlink()
    with pytest.raises(UserError, match=r"cannot be found[\s\S]*c\.png"):
        signature(SPEC, tmp_path)


def test_whole_numbers_are_bytes_and_floats_stay(tmp_path: Path):
    grey = list(range(0, 160, 10))
    written(tmp_path, "label," + ",".join(f"p{i}" for i in range(16)) + "\n7," + ",".join(map(str, grey)) + "\n")
    data = open_data("csv:sheet/labels.csv", tmp_path)
    assert data.items.ids == ("00000",)
    np.testing.assert_array_equal(data.raw(0), np.array(grey, np.uint8).reshape(4, 4))
    written(tmp_path, ",".join(f"p{i}" for i in range(16)) + ",label\n" + ",".join(["0.5"] * 16) + ",7\n")
    floats = open_data("csv:sheet/labels.csv", tmp_path).raw(0)
    assert floats.dtype == np.float32 and set(floats.ravel().tolist()) == {0.5}


def pixel_text(value: str, columns: int = 16) -> str:
    return "label," + ",".join(f"p{i}" for i in range(columns)) + "\na," + ",".join([value] * columns) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no data rows"),
        ("path,label\n", "no data rows"),
        ("path,path\na,b\n", "names a column twice"),
        ("path,label\na.png\n", "differ in length"),
        ("path,lable\na.png,x\n", r"unknown column 'label'[\s\S]*try: lable"),
        ("path,label\nabsent.png,x\n", r"absent\.png: image file not found"),
        ("path,label\n,x\n", "needs an image path"),
        ('path,label\n"a.png,x\n', "is damaged"),
        ("path,label,group\na.png,x,\n", "needs a group"),
        ("path,label,split\na.png,x,tset\n", r"unknown split 'tset'[\s\S]*try: test"),
        ("path,label\na.png,x\na.png,y\n", "'a.png' more than once"),
        (pixel_text("1", 15), "no square images"),
        (pixel_text("1", 9), "no square images"),
        (pixel_text("x"), r"holds no number[\s\S]*x"),
        (pixel_text("nan"), "scale of the pixel columns"),
        (pixel_text("16"), "scale of the pixel columns"),
        (pixel_text("256"), "scale of the pixel columns"),
        (pixel_text("-1"), "scale of the pixel columns"),
        (pixel_text("99.5"), "scale of the pixel columns"),
    ],
)
def test_tables_without_a_clear_meaning_are_refused(tmp_path: Path, photo, text, message):
    photo("sheet/a.png")
    written(tmp_path, text)
    with pytest.raises(UserError, match=message):
        index("csv:sheet/labels.csv", tmp_path)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("csv:absent.csv", "file not found"),
        ({**SPEC, "grup": "camera"}, r"unknown key 'grup'[\s\S]*try: group"),
        ({**SPEC, "group": "kamera"}, r"unknown column 'kamera'[\s\S]*try: camera"),
    ],
)
def test_wrong_specs_are_one_clean_message(tmp_path: Path, paths, spec, message):
    with pytest.raises(UserError, match=message):
        index(spec, tmp_path)


def test_a_table_that_is_no_text_is_refused(tmp_path: Path):
    written(tmp_path, "x").write_bytes(b"path,label\n\xff\xfe,x\n")
    with pytest.raises(UserError, match="no CSV file in UTF-8"):
        index("csv:sheet/labels.csv", tmp_path)


def test_a_changed_table_does_not_fit_old_items(tmp_path: Path):
    written(tmp_path, pixel_text("0.5"))
    items = index("csv:sheet/labels.csv", tmp_path)
    written(tmp_path, pixel_text("0.5") + "b," + ",".join(["0.1"] * 16) + "\n")
    with pytest.raises(UserError, match="has changed"):
        open_data("csv:sheet/labels.csv", tmp_path, items)
