"""Runs in a folder: each once, by its path, none inside another, and a broken one does not hide the rest."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from report.example import evidence
from transfuse.doors.finding import runs
from transfuse.errors import UserError
from transfuse.report.overview import table
from transfuse.report.view import View


def write(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "evidence.json").write_text(json.dumps(evidence()), encoding="utf-8")
    return folder


def test_runs_are_found_by_their_path_and_old_evidence_is_no_run_of_its_own(tmp_path: Path) -> None:
    write(tmp_path / "b")
    write(tmp_path / "deep" / "er" / "a")
    write(tmp_path / "b" / "history" / "old")
    write(tmp_path / ".hidden" / "c")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    found = runs(tmp_path)
    assert list(found) == ["b", "deep/er/a"]
    assert all(isinstance(view, View) for view in found.values())
    assert list(runs(tmp_path / "b")) == ["b"]


def test_what_is_unfinished_or_broken_says_so_beside_the_others(tmp_path: Path) -> None:
    write(tmp_path / "whole")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "journal.jsonl").write_text("{}\n", encoding="utf-8")
    broken = write(tmp_path / "broken")
    (broken / "evidence.json").write_text('{"schema": "other"}', encoding="utf-8")
    found = runs(tmp_path)
    assert found["begun"] == "not finished; run its recipe again to go on"
    assert found["broken"] == "cannot be read: this is not an evidence record"
    assert isinstance(found["whole"], View)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(setup="x"),
        lambda record: record.update(ledger=3),
        lambda record: record["verdict"]["claims"][0].update(status="x"),
        lambda record: record["verdict"]["recommendation"].update(form=None),
    ],
)
def test_a_record_that_cannot_be_listed_is_named_beside_the_others(change, tmp_path: Path) -> None:
    write(tmp_path / "whole")
    record = evidence()
    change(record)
    (write(tmp_path / "broken") / "evidence.json").write_text(json.dumps(record), encoding="utf-8")
    found = runs(tmp_path)
    assert str(found["broken"]).startswith("cannot be read: its evidence does not hold what a run writes")
    lines = table(found).splitlines()
    assert len(lines) == 3 and "whole" in lines[1] and lines[2].startswith("broken: cannot be read")


def test_a_folder_that_may_not_be_looked_into_is_named_beside_the_others(tmp_path: Path, monkeypatch) -> None:
    write(tmp_path / "whole")
    (tmp_path / "locked").mkdir()
    real = Path.is_file

    def is_file(path: Path) -> bool:
        if "locked" in path.parts:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "is_file", is_file)
    found = runs(tmp_path)
    assert found["locked"] == "cannot be read: Permission denied"
    assert isinstance(found["whole"], View)


def test_a_folder_that_is_not_there_or_holds_no_run_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        runs(tmp_path / "none")
    with pytest.raises(UserError, match="no run here"):
        runs(tmp_path)
