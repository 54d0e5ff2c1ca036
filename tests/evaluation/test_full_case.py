from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from evaluation.full_case import full_case
from evaluation.judged import changed
from transfuse import registry
from transfuse.evaluation.case import Case
from transfuse.evaluation.metric import metric
from transfuse.evaluation.nearest import Near
from transfuse.evaluation.questions import calibration, flips
from transfuse.evaluation.statistics.reliability import adaptive_error, reliability_bins
from transfuse.evaluation.tables import Table
from transfuse.evaluation.verdict import judge, record
from transfuse.jsonio import canonical
from transfuse.types import ItemTable, Task, Undefined

ASKED = {
    "class_difference", "group_difference", "worst_group", "guard_brier", "guard_worst_class", "negative_transfer",
    "negative_transfer_class", "ece_debiased", "ece_adaptive", "reliability", "pareto", "disagreement", "double_fault",
    "error_correlation", "q_statistic", "oracle_accuracy", "ambiguity_brier", "ambiguity_log_loss", "der", "eir", "cka",
    "aurc", "e_aurc", "risk_at_coverage", "ood_auroc", "ood_aupr_in", "ood_aupr_out", "ood_fpr95", "corruption_error",
    "relative_corruption_error", "worst_corruption", "data_efficiency", "aulc", "jump_start", "asymptote",
    "transfer_ratio", "data_multiplier", "time_to_target_items", "time_to_target_flops", "time_to_target_flops_warm",
    "speed_up", "retention_kl", "shapley", "shapley_interaction", "ridge_gain",
    "near_identical", "apart_log_loss", "apart_accuracy", "near_log_loss",
    "auroc", "sign_flip_items", "all_required", "selection_optimism",
}  # fmt: skip


@pytest.mark.parametrize("runs", [1, 3, 5])
def test_every_question_answers_with_unique_plain_rows(runs: int) -> None:
    case = full_case(runs)
    found = [row for entry in registry.shelf("evaluation/questions").values() for row in entry.load().ask(case)]
    assert len({row.id for row in found}) == len(found)
    assert {row.quantity for row in found} >= ASKED
    for row in found:
        json.dumps(row.record(), allow_nan=False)
        if isinstance(row.value, Undefined):
            assert row.value.reason
        else:
            assert np.isfinite(row.value)
            if row.low is not None and row.high is not None:
                assert row.low <= row.value + 1e-9 and row.value <= row.high + 1e-9
                assert row.level == 0.95
    made = judge(case)
    named = {name for flag in made.verdict.flags for name in flag.evidence}
    assert named <= {row.id for row in made.evidence}


def test_equal_cases_have_equal_bytes() -> None:
    first, second = (canonical(record(judge(full_case()), full_case().arms, {}, {})) for _ in range(2))
    assert first == second


def turned(table: Table, order: np.ndarray) -> Table:
    known = table.items
    groups = None if known.groups is None else tuple(known.groups[row] for row in order)
    items = ItemTable(tuple(known.ids[row] for row in order), known.targets[order], groups)
    logits = None if table.logits is None else table.logits[:, order]
    return replace(table, items=items, probs=table.probs[:, order], logits=logits)


def reordered(found: Near | Undefined, order: np.ndarray) -> Near | Undefined:
    if isinstance(found, Undefined) or found.ratio is None or found.label is None:
        return found
    other = tuple(found.other[row] for row in order)
    return replace(found, close=found.close[order], other=other, ratio=found.ratio[order], label=found.label[order])


def test_the_order_of_rows_and_arms_changes_no_number() -> None:
    case = full_case()
    order = np.random.default_rng(0).permutation(len(case.items))
    other = changed(
        case,
        arms=tuple(reversed(case.arms)),
        tables={name: turned(table, order) for name, table in reversed(case.tables.items())},
        items=turned(case.tables["concat"], order).items,
        nearest={name: reordered(found, order) for name, found in case.nearest.items()},
        conditions={
            name: {arm: turned(table, order) for arm, table in tables.items()}
            for name, tables in case.conditions.items()
        },
        observations=tuple(reversed(case.observations)),
    )
    rows = {row.id: row for row in judge(case).evidence}
    again = {row.id: row for row in judge(other).evidence}
    assert set(rows) == set(again)
    for name, row in rows.items():
        twin = again[name]
        if isinstance(row.value, Undefined):
            assert twin.value == row.value
        else:
            assert (twin.value, twin.low) == (pytest.approx(row.value, abs=1e-9), pytest.approx(row.low, abs=1e-6))


def bare(case: Case, task: Task) -> Case:
    return changed(case, task=task)


def test_questions_about_classes_are_silent_for_other_tasks() -> None:
    case = full_case()
    scores = {name: Table(name, case.items, table.probs[:, :, :1], table.runs) for name, table in case.tables.items()}
    empty: dict[str, object] = {"conditions": {}, "outside": {}, "features": None, "observations": (), "guards": {}}
    empty["selection_losses"] = {}
    one = changed(case, task=Task("regression", (), "loss", ()), tables=scores, **empty)
    asked = {row.quantity for row in judge(one).evidence if row.quantity != "loss"}
    kept = {"group_difference", "negative_transfer", "pareto", "next_experiment", "all_required"}
    kept |= {"every_single", "sign_flip_runs", "sign_flip_items", "near_identical", "apart_loss", "near_loss"}
    assert asked <= kept | {"parameters", "trainable_parameters", "inference_flops", "train_flops", "temperature"}
    assert {"group_difference", "negative_transfer"} <= asked


def test_flips_list_the_items_that_flip_most() -> None:
    case = full_case()
    rows = {row.id: row for row in flips.ask(case)}
    won = rows["positive_flips:concat-vs-frozen/a:test:clean"].provenance["items"]
    assert 0 < len(won) <= 24
    place = {name: row for row, name in enumerate(case.items.ids)}
    answers = {arm: case.tables[arm].probs.argmax(axis=2) for arm in ("concat", "frozen/a")}
    often = []
    for name, target, own, other in won:
        row = place[name]
        assert target == own == case.task.classes[case.items.targets[row]] != other
        flipped = (answers["concat"][:, row] == case.items.targets[row]) & (
            answers["frozen/a"][:, row] != case.items.targets[row]
        )
        often.append(flipped.sum())
    assert often == sorted(often, reverse=True) and often[0] == 3
    lost = rows["negative_flips:concat-vs-frozen/a:test:clean"].provenance["items"]
    assert all(target == other != own for _, target, own, other in lost)


def test_reliability_bins_hold_every_answer_and_make_up_the_error() -> None:
    case = full_case(runs=2)
    rows = {row.id: row for row in calibration.ask(case)}
    row = rows["reliability:concat:test:clean"]
    bins = row.provenance["bins"]
    assert sum(each[4] for each in bins) == 2 * len(case.items)
    assert all(low < sure <= high for low, high, sure, _, _ in bins)
    one = case.tables["concat"].probs[0]
    sure, right = one.max(axis=1), (one.argmax(axis=1) == case.items.targets).astype(float)
    exact = reliability_bins(sure, right)
    total = sum(count * abs(mean - share) for _, _, mean, share, count in exact) / len(right)
    assert total == pytest.approx(metric("ece").values(case.items.targets, one[None])[0])
    assert reliability_bins(np.array([1.0, 0.95]), np.array([1.0, 0.0]))[-1][4] == 2


def test_equal_mass_error_by_hand_and_with_ties() -> None:
    rng = np.random.default_rng(0)
    sure, right = rng.random(30), (rng.random(30) < 0.5).astype(float)
    order = np.argsort(sure)
    expected = np.abs((sure - right)[order].reshape(15, 2).sum(axis=1)).sum() / 30
    assert adaptive_error(sure, right) == pytest.approx(expected)
    assert adaptive_error(np.full(20, 0.7), np.tile([1.0, 0.0], 10)) == pytest.approx(0.2)
    turned_order = rng.permutation(30)
    assert adaptive_error(sure[turned_order], right[turned_order]) == pytest.approx(expected)
    assert adaptive_error(np.array([0.6]), np.array([1.0])) == pytest.approx(0.4)


def test_ten_rows_and_one_run_are_answered_without_a_word_of_warning() -> None:
    tiny = full_case(runs=1, count=10)
    found = judge(tiny)
    assert found.verdict.recommendation.arm in tiny.tables
    json.dumps(record(found, tiny.arms, {}, {}), allow_nan=False)
