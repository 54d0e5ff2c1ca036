"""Texts as data: folders of classes, a column of a table; the same groups, splits and errors as images have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from transfuse.data import text_marks
from transfuse.data.canvas import batch
from transfuse.data.leakage import look_alikes
from transfuse.data.open import field_of, index, open_data
from transfuse.data.split import partition
from transfuse.errors import UserError

LONG = "it was the best of times it was the worst of times it was the age of wisdom it was the age of foolishness"


@pytest.fixture
def folder(tmp_path):
    for name, text in {
        "ham/a.txt": "grüße",
        "ham/deep/b.md": "two",
        "spam/c.eml": "three",
        "spam/.d.txt": "no",
    }.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_text(text, encoding="utf-8")
    return tmp_path


def read(data, row: int) -> str:
    return data.raw(row).tobytes().decode()


def test_a_folder_of_class_folders(folder):
    data = open_data("texts:set", folder)
    assert (data.field, data.items.ids) == ("text", ("ham/a.txt", "ham/deep/b.md", "spam/c.eml"))
    assert data.items.labels == ("ham", "ham", "spam")
    assert read(data, 0) == "grüße"
    canvas = batch(data, [0, 2], 4)
    assert (canvas.dtype, canvas.shape) == (np.uint8, (2, 4))
    assert [row.tobytes() for row in canvas] == ["grü".encode(), b"thre"]


def test_declared_parts_and_loose_texts(tmp_path):
    for name in ("train/x/1.txt", "test/x/2.txt", "loose/3.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert index("texts:loose", tmp_path).labels == (None,)
    (tmp_path / "loose" / "3.txt").rename(tmp_path / "train" / "x" / "3.txt")
    (tmp_path / "loose").rmdir()
    assert index("texts:.", tmp_path).splits == ("test", "train", "train")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda here: (here / "ham" / "a.txt").write_bytes(b"caf\xe9"), "some texts cannot be used"),
        (lambda here: (here / "stray.txt").write_text("x"), "texts stand outside the class folders"),
        (lambda here: (here / "ham" / "a.txt").unlink() or (here / "ham" / "deep" / "b.md").unlink(), "empty class"),
        (lambda here: [path.unlink() for path in here.rglob("*.*")], "there is no text here"),
    ],
)
def test_bad_folders_are_said(folder, change, said):
    change(folder / "set")
    with pytest.raises(UserError, match=said):
        index("texts:set", folder)


def test_a_large_text_is_not_read(folder, monkeypatch):
    monkeypatch.setattr("transfuse.data.documents.LARGEST_BYTES", 4)
    with pytest.raises(UserError, match="too large"):
        index("texts:set", folder)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_column_of_a_table(tmp_path):
    write(tmp_path / "t.csv", "text,label,group", '"a, b",x,g', "c,y,h")
    data = open_data("t.csv", tmp_path)
    assert (data.field, data.items.ids, data.items.labels) == ("text", ("00000", "00001"), ("x", "y"))
    assert data.items.groups == ("g", "h")
    assert [read(data, row) for row in range(2)] == ["a, b", "c"]


def test_a_column_of_another_name_and_several_labels(tmp_path):
    write(tmp_path / "t.csv", "body,a,b", "one,0,1", "two,1,1")
    spec = {"csv": "t.csv", "text": "body", "label": ["a", "b"]}
    from transfuse.data.open import read_as

    assert index(read_as(spec, "multilabel"), tmp_path).labels == (("b",), ("a", "b"))


def test_beside_paths_a_text_must_be_named(tmp_path):
    write(tmp_path / "t.csv", "path,text,label", "a.png,words,x")
    assert field_of("t.csv", tmp_path) == "image"
    assert field_of({"csv": "t.csv", "text": "text"}, tmp_path) == "text"
    with pytest.raises(UserError, match=r"a\.png: image file not found"):
        index({"csv": "t.csv", "text": "text", "path": "path"}, tmp_path)


def marked(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def test_marks_hold_for_resent_and_edited_texts_and_not_for_others():
    edited, other = LONG.upper().replace("BEST", "Best!"), " ".join(reversed(LONG.split()))
    same = np.corrcoef(text_marks.mark(marked(LONG)), text_marks.mark(marked(edited)))[0, 1]
    assert same == pytest.approx(1)
    assert np.corrcoef(text_marks.mark(marked(LONG)), text_marks.mark(marked(other)))[0, 1] < 0.5
    assert not text_marks.mark(marked("too few words here")).any()


def test_near_duplicates_are_kept_together_or_told(tmp_path):
    """Eight texts, each sent twice with another last word; words are numbers, so no two others share a run."""
    bodies = [" ".join(f"w{place * 7 + number * 100}" for place in range(30)) for number in range(8)]
    rows = [f"{body} {end},{'xy'[place % 2]}" for place, body in enumerate(bodies) for end in ("over", "out")]
    write(tmp_path / "t.csv", "text,label", *rows)
    found = index({"read": "t.csv", "groups": "near_duplicates"}, tmp_path)
    assert found.groups == tuple(f"{place - place % 2:05d}" for place in range(16))
    data = open_data("t.csv", tmp_path)
    pairs = look_alikes(data.items, partition(data.items, protocol="crossfit", seeds=1), data.raw, "text")
    assert pairs
    assert all(int(one) // 2 == int(other) // 2 for one, other in pairs)
