"""Who stands alone among sources: counted by hand, silent where nobody could, and a planted source is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluation.full_case import full_case
from evaluation.judged import changed
from transfuse.evaluation.case import Case
from transfuse.evaluation.questions import lone
from transfuse.evaluation.tables import Table


def with_third(answers: np.ndarray | None = None) -> Case:
    """The case with a third pooled source that answers as the first does, or with these classes [N]."""
    case = full_case(runs=1)
    first = case.tables["frozen/a"]
    probs = first.probs if answers is None else np.eye(4)[answers][None] * 0.9 + 0.025
    arms = [replace(arm, members=(*arm.members, "frozen/c")) if arm.name == "ensemble" else arm for arm in case.arms]
    third = replace(next(arm for arm in case.arms if arm.name == "frozen/a"), name="frozen/c", members=("c",))
    tables = {**case.tables, "frozen/c": Table("frozen/c", case.items, probs, first.runs)}
    selection = {**case.selection, "frozen/c": 0.5}
    return changed(case, arms=(*arms, third), tables=tables, selection=selection)


def test_alone_is_who_differs_from_all_the_others_where_these_agree():
    classes = np.array([[[0, 1, 2, 0]], [[0, 1, 1, 1]], [[1, 1, 0, 1]], [[0, 2, 3, 1]]])
    found = [lone.standing_alone(classes, place)[0].tolist() for place in range(4)]
    assert found == [
        [False, False, False, True],
        [False, False, False, False],
        [True, False, False, False],
        [False, True, False, False],
    ]


def test_two_sources_tell_nobody_who_of_them_stands_alone():
    assert lone.ask(full_case(runs=1)) == []


def test_a_source_that_answers_otherwise_on_planted_items_stands_out_with_these_items():
    case = with_third()
    agreed = case.tables["frozen/a"].probs[0].argmax(axis=1)
    same = np.flatnonzero(agreed == case.tables["frozen/b"].probs[0].argmax(axis=1))
    planted, answers = same[:7], agreed.copy()
    answers[planted] = (answers[planted] + 1) % 4
    rows = {row.arm: row for row in lone.ask(with_third(answers))}
    assert set(rows) == {"frozen/a", "frozen/b", "frozen/c"}
    assert rows["frozen/c"].value == pytest.approx(7 / len(agreed)) and rows["frozen/a"].value == 0.0
    about = rows["frozen/c"].provenance
    assert set(about["surest"]) <= {case.items.ids[row] for row in planted} and len(about["surest"]) == 5
    targets = np.asarray(case.items.targets)[planted]
    assert about["others_right"] == pytest.approx((agreed[planted] == targets).mean())
    assert about["right"] == pytest.approx((answers[planted] == targets).mean())
    assert about["confidence"] == pytest.approx(0.925)
    # Of who never stands alone nothing more is told.
    assert "surest" not in rows["frozen/a"].provenance
