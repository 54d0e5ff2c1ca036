"""The door: the right reader for each spec, a cheap signature, and clean words for what nobody reads."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from transfuse.data import open as door
from transfuse.data.open import index, open_data, settings, signature
from transfuse.errors import UserError
from transfuse.registry import shelf

X = np.arange(6 * 4 * 5, dtype=np.uint8).reshape(6, 4, 5)
Y = np.array([0, 1] * 3)


@pytest.fixture
def folder(tmp_path: Path, photo) -> Path:
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        photo(name)
    return tmp_path


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("photos/", "folder"),
        ("idx:a", "idx"),
        ("npz:a", "npz"),
        ("a/b.npz", "npz"),
        ("csv:a", "csv"),
        ("labels.csv", "csv"),
        ({"csv": "a", "path": "p"}, "csv"),
        ("sklearn:digits", "sklearn"),
        ((X, Y), "arrays"),
        ({"x": X, "y": Y}, "arrays"),
        ([(X[0], 1)], "dataset"),
    ],
)
def test_exactly_one_reader_is_meant(spec, name):
    meant = [entry.name for entry in shelf(door.SHELF).values() if entry.load().matches(spec)]
    assert [other for other in meant if other != "folder"] == ([name] if name != "folder" else [])
    assert door._reader(spec)[0].name == name


@pytest.mark.parametrize("entry", shelf(door.SHELF).values(), ids=str)
def test_every_reader_keeps_the_contract(entry):
    module = entry.load()
    assert all(callable(getattr(module, name)) for name in ("matches", "files", "index", "reader"))
    assert entry.law.endswith(".") and entry.traits["form"]
    assert not any(module.matches(nothing) for nothing in (None, 3, 2.5, {}, {"unknown": 1}, object(), "strange:a"))


def test_settings_take_a_spec_apart():
    taken = settings({"read": Path("photos"), "splits": {"test": 5}, "canvas": 96})
    assert (taken.read, taken.splits, taken.canvas) == ("photos", {"test": 5}, 96)
    beside = settings({"csv": "a.csv", "label": "species", "canvas": 32})
    assert (beside.read, beside.splits, beside.canvas) == ({"csv": "a.csv", "label": "species"}, None, 32)
    assert settings("photos/") == settings({"read": "photos/"})


def test_the_wrapper_changes_nothing_in_what_is_read(folder):
    wrapped = {"read": str(folder), "splits": {"train": 5}, "canvas": 20}
    assert index(wrapped, Path(".")) == index(str(folder), Path("."))
    assert signature(wrapped, Path(".")) == signature(str(folder), Path("."))


def test_known_items_save_the_indexing(folder, monkeypatch):
    items = index(".", folder)
    monkeypatch.setattr(shelf(door.SHELF)["folder"].load(), "index", None)
    data = open_data(".", folder, items)
    assert data.items is items
    assert data.raw(2).shape == (5, 6, 3)


def test_the_signature_reads_no_content(folder, monkeypatch):
    before = signature(".", folder)
    monkeypatch.setattr(Path, "read_bytes", None)
    monkeypatch.setattr(Path, "open", None)
    assert signature(".", folder) == before


@pytest.mark.parametrize("change", ["content", "time", "name", "new"])
def test_the_signature_follows_the_files(folder, photo, change):
    before, path = signature(".", folder), folder / "cat" / "1.png"
    if change == "content":
        path.write_bytes(path.read_bytes() + b"\0")
    elif change == "time":
        os.utime(path, ns=(1, 1))
    elif change == "name":
        path.rename(folder / "cat" / "3.png")
    else:
        photo("dog/9.png")
    assert signature(".", folder) != before


def test_in_memory_the_signature_follows_the_content():
    other = X.copy()
    other[5, 3, 4] += 1
    assert signature((X, Y), Path(".")) == signature((X.copy(), Y), Path("elsewhere"))
    assert len({signature(spec, Path(".")) for spec in ((X, Y), (other, Y), (X, 1 - Y))}) == 3


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cvs:labels.csv", r"unknown kind of data 'cvs'[\s\S]*try: csv"),
        ({"cvs": "labels.csv"}, r"unknown key 'cvs'[\s\S]*try: csv"),
        ({"read": "photos", "split": {}}, r"unknown key 'split'[\s\S]*try: splits"),
        ({"canvas": 96}, "no reader knows"),
        (17, r"no reader knows[\s\S]*got: int"),
        (None, "no reader knows"),
        ({"read": "photos", "canvas": "big"}, "canvas must be"),
        ({"read": "photos", "canvas": True}, "canvas must be"),
        ({"read": "photos", "splits": 5}, "splits must name parts"),
    ],
)
def test_what_nobody_reads_is_one_clean_message(spec, message):
    with pytest.raises(UserError, match=message):
        index(spec, Path("."))
