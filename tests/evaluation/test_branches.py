"""Branch health and the gap to the training rows as evidence: what was seen becomes rows, death becomes a flag."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluation.judged import case
from transfuse.evaluation.case import Case
from transfuse.evaluation.questions import branches, gap
from transfuse.types import Observation

RUNS = ("s0", "s1", "s2")


def seen(quantity: str, *values: float, arm: str = "concat") -> list[Observation]:
    """One value a run; a single one stands for all."""
    each = values * len(RUNS) if len(values) == 1 else values
    return [Observation(arm, run, quantity, value, 100, final=True) for run, value in zip(RUNS, each, strict=True)]


def with_branches(*dead: float) -> Case:
    facts = [
        *seen("branch_solo:a", 0.80, 0.84, 0.82), *seen("branch_solo:b", 0.25), *seen("branch_without:a", 0.25),
        *seen("branch_without:b", 0.82), *seen("branch_gradient:a", 0.9), *seen("branch_gradient:b", 0.1),
        *seen("branch_dead:a", 0.0), *seen("branch_dead:b", *dead), *seen("gate_entropy", 0.4, 0.5, 0.6),
    ]  # fmt: skip
    return replace(case(), observations=tuple(facts))


def test_what_was_seen_of_branches_becomes_a_row_each() -> None:
    rows = {row.id: row for row in branches.ask(with_branches(1.0))}
    assert len(rows) == 7
    solo = rows["branch_solo:concat:selection:clean:a"]
    assert solo.value == pytest.approx(0.82)
    assert solo.low is not None and solo.low < 0.82
    assert (solo.unit, solo.direction, solo.provenance["branch"]) == ("share", "higher", "a")
    assert rows["gate_entropy:concat:selection:clean"].value == pytest.approx(0.5)


def test_a_branch_that_is_dead_in_every_run_is_flagged_with_remedies() -> None:
    judged = with_branches(1.0)
    (flag,) = branches.flags(judged, {row.id: row for row in branches.ask(judged)})
    assert flag.flag == "dead_branch"
    assert "'b' of concat" in flag.why
    assert all(
        remedy in flag.why for remedy in ("branch_dropout", "branch_heads", "gradient_blend", "25.0 %", "82.0 %")
    )
    assert flag.evidence == ("branch_solo:concat:selection:clean:b", "branch_without:concat:selection:clean:b")


def test_a_branch_that_lives_in_one_run_is_not_flagged() -> None:
    judged = with_branches(1.0, 0.0, 1.0)
    assert branches.flags(judged, {row.id: row for row in branches.ask(judged)}) == []


def test_without_branches_nothing_is_asked() -> None:
    assert branches.ask(case()) == []
    assert branches.flags(case(), {}) == []


def log_loss(judged: Case, arm: str) -> np.ndarray:
    table = judged.tables[arm]
    rows = np.arange(len(table.items))
    return -np.log(table.probs[:, rows, np.asarray(table.items.targets)]).mean(axis=1)


def test_the_gap_is_the_judged_loss_beyond_that_of_the_training_rows() -> None:
    judged = replace(case(), observations=tuple(seen("trained_log_loss", 0.1, 0.2, 0.3)))
    (row,) = gap.ask(judged)
    wanted = log_loss(judged, "concat") - [0.1, 0.2, 0.3]
    assert row.id == "generalisation_gap:concat:test:clean"
    assert row.value == pytest.approx(wanted.mean())
    assert row.provenance["per_run"] == pytest.approx(dict(zip(RUNS, wanted, strict=True)))
    assert row.low is not None and row.high is not None and row.low < wanted.mean() < row.high


def test_of_an_accuracy_more_on_the_training_rows_is_a_gap_too() -> None:
    judged = case()
    judged = replace(judged, task=replace(judged.task, metric="accuracy"))
    judged = replace(judged, observations=tuple(seen("trained_accuracy", 1.0)))
    (row,) = gap.ask(judged)
    right = judged.tables["concat"].probs.argmax(axis=2) == judged.tables["concat"].items.targets
    assert row.value == pytest.approx(1.0 - right.mean())


def test_candidates_that_differ_in_training_only_are_compared_run_by_run() -> None:
    judged = case({"concat": 3.0, "gate": 2.8, "frozen/lite0": 2.0, "ensemble": 2.9},
                  {"concat": 0.3, "gate": 0.3, "frozen/lite0": 0.5, "ensemble": 0.3})  # fmt: skip
    facts = [*seen("trained_log_loss", 0.1, 0.2, 0.3), *seen("trained_log_loss", 0.4, arm="gate")]
    facts += seen("trained_log_loss", 0.1, arm="frozen/lite0")
    alike = replace(judged, arms=tuple(replace(arm, members=("a", "b")) for arm in judged.arms))
    rows = [row for row in gap.ask(replace(alike, observations=tuple(facts))) if row.versus]
    (row,) = rows
    wanted = log_loss(judged, "concat") - [0.1, 0.2, 0.3] - (log_loss(judged, "gate") - 0.4)
    assert (row.arm, row.versus, row.quantity) == ("concat", "gate", "generalisation_gap_difference")
    assert row.value == pytest.approx(wanted.mean())
    apart = replace(judged, observations=tuple(facts))
    assert [row for row in gap.ask(apart) if row.versus] == []
