"""Many runs in one table: the same items have the same letter, and what is missing or broken is said, not left out."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from report.example import evidence
from transfuse.report import overview
from transfuse.report.view import View


def changed(**ledger: Any) -> View:
    record = copy.deepcopy(evidence())
    record["ledger"] = {**record["ledger"], **ledger}
    return View(record)


def test_runs_judged_on_the_same_items_share_a_letter() -> None:
    one = changed(fingerprint="x", ordinal=1)
    rows = overview.rows({"a": one, "b": changed(fingerprint="y", ordinal=4), "c": one})
    assert [row["items"] for row in rows] == ["A", "B", "A"]
    assert [row["opening"] for row in rows] == [1, 4, 1]


def test_a_row_tells_what_ships_the_deciding_claim_and_the_level_of_what_ships() -> None:
    view = View(evidence())
    (row,) = overview.rows({"a": view})
    assert (row["ships"], row["form"]) == (view.recommendation.arm, view.recommendation.form)
    assert row["claim"]["arm"] == view.challenger and row["claim"]["quantity"] == view.metric
    known = view.level(view.judged_as, view.metric)
    assert known is not None and row["level"] == known.record()
    assert row["flags"] == [flag.flag for flag in view.flags]


def test_a_line_a_run_and_a_sentence_for_each_that_cannot_be_told() -> None:
    drawn = overview.table({"a": View(evidence()), "half": "not finished", "b": View(evidence())}).splitlines()
    assert drawn[0].split()[:2] == ["RUN", "SHIPS"]
    assert [line.split()[1] for line in drawn[1:3]] == ["a", "b"]
    assert drawn[3:] == ["half: not finished"]
    starts = [line.index(View(evidence()).recommendation.arm) for line in drawn[1:3]]
    assert len(set(starts)) == 1
    assert overview.table({"half": "not finished"}) == "half: not finished"


def test_rows_without_a_fingerprint_or_claims_are_told_as_such() -> None:
    record = copy.deepcopy(evidence())
    record["ledger"] = {}
    record["verdict"]["claims"] = []
    (row,) = overview.rows({"a": View(record)})
    assert (row["items"], row["claim"], row["opening"]) == (None, None, None)
    assert "–" in overview.table({"a": View(record)})


@pytest.mark.parametrize(("place", "letter"), [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (702, "AAA")])
def test_letters_go_on_after_z(place: int, letter: str) -> None:
    assert overview._letter(place) == letter
