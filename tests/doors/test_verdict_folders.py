"""Where verdicts on predictions made elsewhere are written: none takes the place of another."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from transfuse.doors.cli import app
from transfuse.doors.study import Study
from transfuse.errors import UserError
from transfuse.store import exclusive


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with labels and three sets of predictions, where commands are given."""
    rng, names = np.random.default_rng(0), "xyz"
    truth = rng.integers(0, 3, 60)
    lines = ["item,label", *(f"i{row},{names[label]}" for row, label in enumerate(truth))]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    for name, skill in (("a", 1.0), ("b", 2.0), ("c", 0.2)):
        scores = rng.normal(size=(60, 3)) + skill * np.eye(3)[truth]
        rows = [f"i{row}," + ",".join(f"{value:.4f}" for value in each) for row, each in enumerate(scores)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["item,x,y,z", *rows]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def judge(*words: str) -> Result:
    return CliRunner().invoke(app, ["evaluate", *words, "--labels", "labels.csv", "--scale", "logit"])


def test_other_inputs_get_a_folder_of_their_own_and_the_same_refresh_theirs(desk: Path):
    assert "report: runs/evaluate/report.html" in judge("a.csv", "b.csv").output
    first = (desk / "runs/evaluate/evidence.json").read_bytes()
    assert "report: runs/evaluate-2/report.html" in judge("a.csv", "c.csv").output
    (desk / "runs/evaluate/report.md").unlink()
    assert "report: runs/evaluate/report.html" in judge("a.csv", "b.csv").output
    assert (desk / "runs/evaluate/report.md").is_file(), "refreshed"
    assert "report: runs/evaluate-2/report.html" in judge("a.csv", "c.csv").output
    assert "report: runs/evaluate-3/report.html" in judge("a.csv", "b.csv", "--margin", "0.3").output
    assert (desk / "runs/evaluate/evidence.json").read_bytes() == first


def test_a_version_of_this_program_is_no_other_input_and_a_damaged_record_is_kept(desk: Path):
    judge("a.csv", "b.csv")
    path = desk / "runs/evaluate/evidence.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"setup": record["setup"] | {"version": "0.0"}}))
    assert "report: runs/evaluate/report.html" in judge("a.csv", "b.csv").output
    for damage in ("{", '{"setup": []}'):
        path.write_text(damage)
        assert "report: runs/evaluate-2/report.html" in judge("a.csv", "b.csv").output
        assert path.read_text() == damage


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ("evidence.json", "holds another verdict"),
        ("report.md", "a report that is not of this verdict"),
        ("journal.jsonl", "holds a run"),
        ("", "there is a file of that name"),
    ],
)
def test_a_named_folder_with_something_else_is_refused_after_the_verdict_is_told(held: str, says: str, desk: Path):
    taken = desk / "mine" / held if held else desk / "mine"
    taken.parent.mkdir(exist_ok=True)
    taken.write_text("{}")
    found = judge("a.csv", "b.csv", "--out", "mine")
    assert isinstance(found.exception, UserError) and says in found.exception.what
    assert "--out another folder" in str(found.exception.hint) and "Recommendation" in found.output
    assert taken.read_text() == "{}" and not held or [path.name for path in (desk / "mine").iterdir()] == [held]


def test_two_at_once_do_not_write_into_one_folder(desk: Path):
    judge("a.csv", "b.csv")
    study = Study.of_folder(desk / "runs/evaluate")
    with exclusive(desk / "new", "this folder"), pytest.raises(UserError, match="in use by another run"):
        study.write(desk / "new")
    assert study.write(desk / "new").is_file()


def test_two_reports_side_by_side_replace_no_other_file_or_folder(desk: Path):
    judge("a.csv", "b.csv", "--out", "one")
    judge("a.csv", "c.csv", "--out", "two")

    def beside(*words: str) -> Result:
        return CliRunner().invoke(app, ["report", *words])

    assert beside("one", "two", "--out", "page.html").exit_code == 0
    page = (desk / "page.html").read_bytes()
    assert beside("one", "two", "--out", "page.html").exit_code == 0, "the same page may be asked for again"
    (desk / "folder.md").mkdir()
    (desk / "mine.md").write_text("mine")
    for out in ("mine.md", "page.html", "folder.md"):
        found = beside("two", "one", "--out", out).exception
        assert isinstance(found, UserError) and "of that name already" in found.what
    assert (desk / "page.html").read_bytes() == page and not list((desk / "folder.md").iterdir())
    assert (desk / "mine.md").read_text() == "mine"


def test_a_report_is_not_written_under_a_name_that_promises_another_kind_of_file(desk: Path):
    judge("a.csv", "b.csv", "--out", "one")
    judge("a.csv", "c.csv", "--out", "two")
    found = CliRunner().invoke(app, ["report", "one", "two", "--out", "page.pdf"]).exception
    assert isinstance(found, UserError) and found.hint == "page.html"
    with pytest.raises(UserError, match="HTML or Markdown"):
        Study.of_folder(desk / "one").report(desk / "page")
    assert not list(desk.glob("page*"))
