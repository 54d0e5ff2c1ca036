"""Rows that cannot be answered, rows that stand twice, and asking again once they are repaired."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from transfuse.doors.cli import app
from transfuse.errors import UserError
from transfuse.fusion import saved
from transfuse.source.open import make_card, open_source

CLASSES = [f"class {number}" for number in range(10)]
TABLE = ["path,label,group,split", "0.png,?,,holdout", ",,,", "1.png,,,", "0.png,,,", "torn.png,,,"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    source = open_source(make_card("vgg", "demo:vgg", root=Path(), canvas=28), root=Path())
    saved.save(source, folder, facts={"canvas": 28, "classes": CLASSES, "arm": "frozen/vgg"})
    return folder


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two photos, a torn one, and a table with a row of no path and a photo that stands twice."""
    rng = np.random.default_rng(0)
    for number in range(2):
        Image.fromarray(rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "torn.png").write_bytes(b"no image")
    (tmp_path / "t.csv").write_text("\n".join(TABLE))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(model: Path, data: str = "t.csv") -> Result:
    return CliRunner().invoke(app, ["predict", str(model), data, "--out", "p.csv"])


def items(name: str = "p.csv") -> list[str]:
    with Path(name).open() as handle:
        return [row[0] for row in csv.reader(handle)][1:]


def repair(desk: Path) -> None:
    (desk / "torn.png").write_bytes((desk / "1.png").read_bytes())


def test_a_row_without_a_path_is_unread_and_a_photo_that_stands_twice_is_answered_in_every_row(model: Path, desk: Path):
    found = ask(model)
    assert isinstance(found.exception, UserError) and "data row 2: the row names no image" in found.exception.what
    assert items() == ["0.png", "1.png", "0.png (data row 4)"], "in the order of the rows"
    assert items("p.unread.csv") == ["data row 2", "torn.png"]
    rows = [line.split(",")[1:] for line in (desk / "p.csv").read_text().splitlines()[1:]]
    assert rows[0] == rows[2] != rows[1]


def test_after_repairs_the_same_command_answers_the_rest(model: Path, desk: Path):
    ask(model)
    first = (desk / "p.csv").read_text().splitlines()
    repair(desk)
    assert isinstance(ask(model).exception, UserError), "one is still unread"
    assert items() == ["0.png", "1.png", "0.png (data row 4)", "torn.png"]
    assert (desk / "p.csv").read_text().splitlines()[:4] == first and items("p.unread.csv") == ["data row 2"]
    (desk / "t.csv").write_text("\n".join([TABLE[0], "0.png,,,", "1.png,,,", "1.png,,,", "0.png,,,", "torn.png,,,"]))
    done = ask(model)
    assert done.exit_code == 0, done.output
    assert items() == ["0.png", "1.png", "1.png (data row 3)", "0.png (data row 4)", "torn.png"]
    assert not (desk / "p.unread.csv").exists()
    taken = ask(model).exception
    assert isinstance(taken, UserError) and "of that name already" in taken.what, "nothing was lacking"


@pytest.mark.parametrize("change", ["another photo", "another answer", "another class", "a note"])
def test_answers_that_would_be_lost_are_kept(change: str, model: Path, desk: Path):
    ask(model)
    repair(desk)
    answers, unread = desk / "p.csv", desk / "p.unread.csv"
    lines = answers.read_text().splitlines()
    if change == "another photo":
        answers.write_text("\n".join([*lines, lines[1].replace("0.png", "9.png")]))
    elif change == "another answer":
        answers.write_text("\n".join([lines[0], ",".join(["0.png", "0.9", *lines[1].split(",")[2:]]), *lines[2:]]))
    elif change == "another class":
        answers.write_text("\n".join([lines[0].replace("class 3", "cat"), *lines[1:]]))
    else:
        unread.write_text(unread.read_text().replace("item,why", "item,why,done"))
    held = (answers.read_text(), unread.read_text())
    found = ask(model).exception
    assert isinstance(found, UserError) and "choose another --out" in str(found.hint)
    assert ("would be lost" in found.what) == (change != "a note")
    assert (answers.read_text(), unread.read_text()) == held


def test_what_is_no_answer_of_this_program_is_kept(model: Path, desk: Path):
    ask(model)
    (desk / "p.csv").write_text("item,remark\n0.png,mine\n")
    found = ask(model).exception
    assert isinstance(found, UserError) and "of that name already" in found.what
    assert (desk / "p.csv").read_text() == "item,remark\n0.png,mine\n"
