from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from evaluation.full_case import full_case
from evaluation.judged import changed
from transfuse.evaluation.case import Case
from transfuse.evaluation.harm import false_discovery, parts_of
from transfuse.evaluation.questions import guards, harm, negative_transfer
from transfuse.evaluation.tables import Table, differences
from transfuse.evaluation.verdict import judge
from transfuse.types import Evidence, Flag, ItemTable


def flagged(case: Case, kind: str) -> list[Flag]:
    return [flag for flag in judge(case).verdict.flags if flag.flag == kind]


def spoilt(case: Case, arm: str, rows: np.ndarray, strength: float = 6.0) -> Case:
    """The case after `arm` lost confidence in the true class on some rows."""
    table = case.tables[arm]
    logits = np.log(table.probs)
    logits[:, rows, case.items.targets[rows]] -= strength
    probs = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    return changed(case, tables={**case.tables, arm: replace(table, probs=probs)})


def quiet(case: Case) -> Case:
    return changed(case, guards={}, items=case.items)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
@settings(deadline=None, max_examples=40)
def test_false_discovery_is_scipys(p: list[float]) -> None:
    found = false_discovery(p)
    assert found == pytest.approx(list(false_discovery_control(p)))
    assert all(adjusted >= raw - 1e-15 for adjusted, raw in zip(found, p, strict=True))


def test_parts_need_ten_items_and_at_most_a_hundred_are_screened() -> None:
    codes = np.concatenate([np.repeat(np.arange(120), 10), np.repeat(119, 5), np.repeat(120, 9)])
    found = parts_of(codes, [f"c{number}" for number in range(121)], grouped=True)
    assert len(found) == 100 and found[-1].name == "c119"
    assert "c120" not in {part.name for part in found}
    assert all(len(part.rows) >= 10 and (codes[part.rows] == codes[part.rows][0]).all() for part in found)


def test_classes_and_groups_make_up_the_whole() -> None:
    case = full_case()
    rows = harm.ask(case)
    whole = differences(case.tables["concat"], case.tables["frozen/a"], "log_loss").mean()
    for key in ("class", "group"):
        parts = [row for row in rows if row.quantity == f"{key}_difference"]
        assert sum(row.n for row in parts) == len(case.items)
        assert sum(float(row.value) * row.n for row in parts) / len(case.items) == pytest.approx(whole)  # pyright: ignore
        assert all(row.family and row.adjusted is not None and row.p is not None for row in parts)
        assert all(row.adjusted >= row.p for row in parts if row.adjusted is not None and row.p is not None)
        assert len({row.provenance[key] for row in parts}) == len(parts)


def test_a_class_that_pays_is_named_and_its_guard_silences_the_screen() -> None:
    case = quiet(full_case(count=600))
    assert flagged(case, "harm") == []
    loser = spoilt(case, "concat", np.flatnonzero(case.items.targets == 2)[:24])
    found = flagged(loser, "harm")
    assert len(found) == 1 and "cow" in found[0].why and "bee" not in found[0].why
    assert len(found[0].evidence) == 1 and found[0].evidence[0].endswith(":cow")
    assert not [flag for flag in flagged(changed(loser, guards={"worst_class": 1.0}), "harm") if "by class" in flag.why]


def test_a_group_that_pays_is_named() -> None:
    case = quiet(full_case(count=600))
    rows = np.flatnonzero(np.array(case.items.groups) == "g3")
    loser = spoilt(case, "concat", rows[::2])
    found = [flag for flag in flagged(loser, "harm") if "by group" in flag.why]
    assert len(found) == 1 and "g3" in found[0].why


def test_who_is_worse_on_the_whole_is_not_told_class_by_class() -> None:
    case = quiet(full_case(count=400))
    worse = spoilt(case, "concat", np.arange(400), strength=4.0)
    kinds = [flag.flag for flag in judge(worse).verdict.flags]
    assert "worse_than_best_single" in kinds and "harm" not in kinds


def test_the_worst_group_by_counting() -> None:
    case = full_case(runs=1)
    rows = {(row.arm, row.versus): row for row in harm.ask(case) if row.quantity == "worst_group"}
    groups = np.array(case.items.groups)
    lowest = {}
    for arm in ("concat", "frozen/a"):
        right = case.tables[arm].probs[0].argmax(axis=1) == case.items.targets
        shares = {name: right[groups == name].mean() for name in np.unique(groups)}
        lowest[arm] = min(shares.values())
        row = rows[arm, None]
        assert row.value == pytest.approx(lowest[arm])
        assert shares[row.provenance["group"]] == lowest[arm]
    assert rows["concat", "frozen/a"].value == pytest.approx(lowest["concat"] - lowest["frozen/a"])
    assert rows["concat", "frozen/a"].low is not None


def test_without_groups_or_classes_there_is_less_to_ask() -> None:
    case = full_case(runs=1)
    alone = ItemTable(case.items.ids, case.items.targets)
    tables = {name: replace(table, items=alone) for name, table in case.tables.items()}
    found = {row.quantity for row in harm.ask(changed(case, items=alone, tables=tables))}
    assert found == {"class_difference"}
    assert harm.ask(changed(case, winner="frozen/a")) == []


def standing(case: Case, **margins: float) -> Evidence:
    (row,) = guards.ask(changed(case, guards=margins))
    return row


def test_a_guard_is_kept_shown_broken_or_not_excluded() -> None:
    case = quiet(full_case(count=600))
    assert standing(case, accuracy=0.01).provenance["guard"] == "kept"
    broken = spoilt(case, "concat", np.arange(600))
    row = standing(broken, accuracy=0.01)
    assert row.provenance["guard"] == "shown" and row.quantity == "guard_accuracy"
    (flag,) = guards.flags(broken, {row.id: row})
    assert flag.flag == "harm" and "is broken" in flag.why and "1.00 points" in flag.why and flag.evidence == (row.id,)
    near = changed(case, tables={**case.tables, "concat": replace(case.tables["frozen/b"], arm="concat")})
    row = standing(near, accuracy=0.03)
    assert row.provenance["guard"] == "not excluded"
    assert "not excluded" in guards.flags(near, {row.id: row})[0].why


def test_a_loss_is_guarded_in_its_own_direction() -> None:
    case = quiet(full_case())
    assert standing(case, log_loss=0.0).provenance["guard"] == "kept"
    mirrored = changed(case, winner="frozen/a", best_single="concat")
    assert standing(mirrored, log_loss=0.0).provenance["guard"] == "shown"


def test_identical_predictions_harm_nobody() -> None:
    case = quiet(full_case())
    same = changed(case, tables={**case.tables, "concat": replace(case.tables["frozen/a"], arm="concat")})
    assert standing(same, brier=0.0).provenance["guard"] == "kept"


def test_a_source_that_does_harm_is_named() -> None:
    case = quiet(full_case(count=400))
    assert flagged(case, "negative_transfer") == []
    better = {**case.tables, "without/b": replace(case.tables["concat"], arm="without/b")}
    found = flagged(spoilt(changed(case, tables=better), "concat", np.arange(0, 400, 3)), "negative_transfer")
    told = {flag.evidence: flag.why for flag in found}
    why = told["negative_transfer:concat-vs-without/b:test:clean",]
    assert why.startswith("b does harm: concat is shown worse with it than refitted without it")


def test_harm_on_one_class_is_told_by_source_and_class() -> None:
    case = quiet(full_case(count=600))
    better = {**case.tables, "without/b": replace(case.tables["concat"], arm="without/b")}
    some = np.flatnonzero(case.items.targets == 1)[:50]
    found = flagged(spoilt(changed(case, tables=better), "concat", some), "negative_transfer")
    assert any("on some classes" in flag.why and "bee" in flag.why and "ant" not in flag.why for flag in found)


def test_negative_transfer_is_with_minus_without() -> None:
    case = full_case()
    rows = [row for row in negative_transfer.ask(case) if row.quantity == "negative_transfer"]
    assert [(row.arm, row.versus, row.provenance["source"]) for row in rows] == [
        ("concat", "without/a", "a"),
        ("concat", "without/b", "b"),
    ]
    gap = differences(case.tables["concat"], case.tables["without/b"], "log_loss").mean()
    assert rows[1].value == pytest.approx(gap) and rows[1].direction == "lower"


def test_tables_in_another_order_are_screened_alike() -> None:
    case = full_case()
    order = np.random.default_rng(0).permutation(len(case.items))
    table = case.tables["frozen/a"]
    known = ItemTable(
        tuple(table.items.ids[row] for row in order),
        table.items.targets[order],
        tuple((table.items.groups or ())[row] for row in order),
    )
    turned = Table(table.arm, known, table.probs[:, order], table.runs)
    first, second = harm.ask(case), harm.ask(changed(case, tables={**case.tables, "frozen/a": turned}))
    assert [row.id for row in first] == [row.id for row in second]
    assert [row.value for row in first] == pytest.approx([row.value for row in second])
