from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluation.judged import SKILLS, case, changed
from transfuse import registry
from transfuse.evaluation.claims import power_of
from transfuse.evaluation.metric import metric
from transfuse.evaluation.questions import calibration, compare, cost, flips, levels
from transfuse.evaluation.statistics.power import mcnemar, needed_n, shown_from
from transfuse.evaluation.statistics.resample import Interval, moments
from transfuse.evaluation.tables import Table, differences, table
from transfuse.types import Evidence, Predictions, Undefined


def by_id(rows: list[Evidence]) -> dict[str, Evidence]:
    assert len({row.id for row in rows}) == len(rows)
    return {row.id: row for row in rows}


def test_every_question_of_the_shelf_declares_its_place() -> None:
    found = registry.shelf("evaluation/questions")
    assert {"levels", "compare", "flips", "calibration", "cost", "harm", "diversity", "learning"} <= set(found)
    assert all(entry.order < 100 and callable(entry.load().ask) for entry in found.values())


def test_levels_are_means_over_runs_within_what_is_possible() -> None:
    one = case(runs=5)
    rows = by_id(levels.ask(one))
    assert len(rows) == len(SKILLS) * 5
    table = one.tables["concat"]
    for name in one.metrics:
        row, facts = rows[f"{name}:concat:test:clean"], metric(name)
        assert row.value == pytest.approx(facts.values(np.asarray(one.items.targets), table.probs).mean())
        assert row.low is not None and row.high is not None and isinstance(row.value, float)
        assert row.low <= row.value <= row.high
        assert row.low >= 0.0 and (facts.high is None or row.high <= facts.high)
        assert list(row.provenance["per_run"]) == list(table.runs)


def test_levels_are_clipped_to_what_is_possible() -> None:
    one = case(runs=1)
    answers = one.items.targets.copy()
    answers[0] = (answers[0] + 1) % 4
    table = Table("concat", one.items, np.eye(4)[answers][None], ("s0",))
    rows = by_id(levels.ask(changed(one, tables={**one.tables, "concat": table})))
    right, distance = rows["accuracy:concat:test:clean"], rows["brier:concat:test:clean"]
    assert (right.value, right.high) == (pytest.approx(0.995), 1.0)
    assert (distance.value, distance.low) == (pytest.approx(0.01), 0.0)


def test_levels_say_when_runs_do_not_vary() -> None:
    one = case()
    first = one.tables["concat"]
    frozen = replace(first, probs=np.repeat(first.probs[:1], 3, axis=0))
    rows = by_id(levels.ask(changed(one, tables={**one.tables, "concat": frozen})))
    assert "no variance over runs" in rows["log_loss:concat:test:clean"].method
    assert "no variance over runs" in rows["log_loss:concat:test:clean"].provenance["note"]
    assert "note" not in rows["log_loss:ensemble:test:clean"].provenance


def test_levels_without_an_interval_say_why() -> None:
    rows = by_id(levels.ask(case(runs=3)))
    row = rows["ece:concat:test:clean"]
    assert isinstance(row.value, float) and row.low is None and row.level is None
    assert "needs 5 runs" in row.method


def test_differences_mirror_and_equal_the_difference_of_levels() -> None:
    one = case(runs=5)
    level = by_id(levels.ask(one))
    forth = by_id(compare.ask(one))
    back = by_id(compare.ask(changed(one, comparisons=(("ensemble", "concat"),), winner="ensemble")))
    for name in one.metrics:
        row, mirror = forth[f"{name}:concat-vs-ensemble:test:clean"], back[f"{name}:ensemble-vs-concat:test:clean"]
        ours, theirs = level[f"{name}:concat:test:clean"].value, level[f"{name}:ensemble:test:clean"].value
        assert isinstance(ours, float) and isinstance(theirs, float) and isinstance(row.value, float)
        assert row.value == pytest.approx(ours - theirs)
        assert row.low is not None and row.high is not None
        assert (mirror.value, mirror.low, mirror.high) == pytest.approx((-row.value, -row.high, -row.low))
        assert mirror.p == pytest.approx(row.p)
        assert row.pairing == "item and run"


def test_differences_carry_what_a_claim_needs() -> None:
    row = by_id(compare.ask(case()))["accuracy:concat-vs-ensemble:test:clean"]
    assert set(row.provenance) >= {
        "margin",
        "status",
        "low90",
        "high90",
        "detectable_effect",
        "settling_items",
        "settling_runs",
    }
    assert row.level == 0.95 and row.n == 200 and row.seeds == 3


def test_settling_means_reaching_the_distance_to_the_margin() -> None:
    one = case(runs=1)
    found = moments(differences(one.tables["concat"], one.tables["frozen/lite0"], "log_loss"))
    assert isinstance(found, Interval)
    told = power_of(found, abs(found.mean) - 2.5 * found.se)
    assert told["settling_items"] == needed_n(found, 2.5 * found.se) > 200
    assert told["settling_runs"] is None
    assert told["detectable_effect"] == shown_from(found)


def test_a_fixed_arm_against_runs_is_noted() -> None:
    one = case()
    single = one.tables["ensemble"]
    fixed = replace(single, probs=single.probs[:1], runs=("s0",))
    row = by_id(compare.ask(changed(one, tables={**one.tables, "ensemble": fixed})))[
        "log_loss:concat-vs-ensemble:test:clean"
    ]
    assert "ensemble meets every run" in row.method


def test_flips_are_the_difference_in_accuracy_and_never_pooled() -> None:
    one = case()
    rows, paired = by_id(flips.ask(one)), by_id(compare.ask(one))
    couple = "concat-vs-frozen/lite0:test:clean"
    won, lost = rows[f"positive_flips:{couple}"].value, rows[f"negative_flips:{couple}"].value
    assert isinstance(won, float) and isinstance(lost, float)
    assert won - lost == pytest.approx(paired[f"accuracy:{couple}"].value)
    tests = [row for row in rows.values() if row.quantity == "mcnemar_midp" and row.versus == "frozen/lite0"]
    assert [row.provenance["run"] for row in tests] == ["s0", "s1", "s2"]
    for row in tests:
        exact, midp = mcnemar(row.provenance["won"], row.provenance["lost"])
        assert (row.value, row.p, row.provenance["exact_p"]) == (midp, midp, exact)
        assert row.provenance["won"] + row.provenance["lost"] <= row.n == 200


def test_calibration_recovers_what_was_before() -> None:
    one = case()
    rng = np.random.default_rng(0)
    scores = 3.0 * rng.normal(size=(3, 200, 4))
    given = Predictions("concat", ("s0", "s1", "s2"), scores, "logit")
    warm, raw = table(given, one.items, [2.0, 3.0, 4.0]), table(given, one.items)
    rows = by_id(calibration.ask(changed(one, tables={**one.tables, "concat": warm})))
    assert rows["temperature:concat:test:clean"].value == pytest.approx(3.0)
    targets = np.asarray(one.items.targets)
    for name in ("log_loss", "ece"):
        expected = metric(name).values(targets, raw.probs).mean()
        assert rows[f"{name}_uncalibrated:concat:test:clean"].value == pytest.approx(expected, rel=1e-6)
    without = changed(one, tables={**one.tables, "concat": raw})
    assert not any(row.id.startswith("temperature:concat") for row in calibration.ask(without))


def test_cost_is_counted_for_every_arm_with_known_cost() -> None:
    one = case()
    rows = by_id(cost.ask(changed(one, arms=(replace(one.arms[0], cost=None), *one.arms[1:]))))
    assert len(rows) == 4 * (len(SKILLS) - 1)
    row = rows["inference_flops:ensemble"]
    assert (row.value, row.unit, row.direction, row.reproducible) == (2e6, "FLOPs per item", "lower", True)


def test_an_undefined_metric_keeps_its_reason() -> None:
    one = case(count=8)
    known = replace(one.items, targets=np.zeros(8, dtype=int))
    right = np.zeros((3, 8, 4))
    right[:, :, 0] = 1.0
    tables = {name: Table(name, known, right, found.runs) for name, found in one.tables.items()}
    rows = by_id(levels.ask(changed(one, items=known, tables=tables)))
    row = rows["accuracy:concat:test:clean"]
    assert row.value == 1.0 and row.low is None
    assert "same value" in row.method
    assert not isinstance(row.value, Undefined)
