"""Runs in a folder: each once, by its path, none inside another, and a broken one does not hide the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from report.example import evidence
from transfuse.doors.finding import runs
from transfuse.errors import UserError
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


def test_a_folder_that_is_not_there_or_holds_no_run_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        runs(tmp_path / "none")
    with pytest.raises(UserError, match="no run here"):
        runs(tmp_path)
