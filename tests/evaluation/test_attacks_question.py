"""Accuracy under attack is told item by item over all attacks, and a planted mask is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluation.full_case import full_case
from evaluation.judged import CLASSES
from transfuse.evaluation.attacked import Attack
from transfuse.evaluation.case import Case
from transfuse.evaluation.questions import attacks
from transfuse.evaluation.tables import Table
from transfuse.evaluation.verdict import judge
from transfuse.types import Evidence, ItemTable, Undefined

RUNS, ATTACKED = ("s0", "s1", "s2"), 60
NAMES = ("apgd@0.03", "fgsm@0.03", "pgd@0.03~b", "pgd_l2@0.5", "square@0.03")


def answering(name: str, known: ItemTable, right: np.ndarray) -> Table:
    """Answers that are right [k, n] where asked."""
    wrong = (np.asarray(known.targets) + 1) % len(CLASSES)
    probs = np.full((*right.shape, len(CLASSES)), 0.01)
    chosen = np.where(right, known.targets, wrong)
    np.put_along_axis(probs, chosen[..., None], 1.0 - 0.01 * (len(CLASSES) - 1), axis=2)
    return Table(name, known, probs, RUNS)


def some(case: Case) -> ItemTable:
    rows = list(range(0, len(case.items), len(case.items) // ATTACKED))[:ATTACKED]
    groups = case.items.groups
    kept = None if groups is None else tuple(groups[row] for row in rows)
    return ItemTable(tuple(case.items.ids[row] for row in rows), np.asarray(case.items.targets)[rows], kept)


def attacked_case(
    surviving: dict[tuple[str, str], float] | None = None,
) -> tuple[Case, dict[tuple[str, str], np.ndarray]]:
    """concat and frozen/a under every attack; `surviving` says how often each survives (0.5 where it says nothing)."""
    case, rng = full_case(), np.random.default_rng(0)
    known, right, tables = some(case), {}, {}
    for name in NAMES:
        for arm in ("concat", "frozen/a"):
            share = (surviving or {}).get((name, arm), 0.5)
            right[name, arm] = rng.random((3, ATTACKED)) < share
            tables.setdefault(name, {})[arm] = answering(arm, known, right[name, arm])
    return replace(case, attacks=tables), right


def rows_of(case: Case) -> dict[str, Evidence]:
    found = attacks.ask(case)
    assert len({row.id for row in found}) == len(found)
    return {row.id: row for row in found}


@pytest.mark.parametrize(
    ("condition", "source", "ball", "gradient"),
    [("fgsm@0.03", None, ("linf", 0.03), True), ("pgd_l2@0.5~vgg", "vgg", ("l2", 0.5), True),
     ("square@0.1", None, ("linf", 0.1), False)],
)  # fmt: skip
def test_an_attack_is_known_by_its_name(condition, source, ball, gradient):
    found = Attack.of(condition)
    assert (found.source, found.ball, found.gradient) == (source, ball, gradient)


def test_each_attack_and_the_worst_case_of_one_ball_by_hand():
    case, right = attacked_case()
    rows = rows_of(case)
    for (name, arm), found in right.items():
        row = rows[f"robust_accuracy:{arm}:test:{name}"]
        assert row.value == pytest.approx(found.mean()) and row.n == ATTACKED and "upper bound" in row.method
    rivals = [name for name in NAMES if name.endswith(("@0.03", "~b"))]
    worst = {arm: np.logical_and.reduce([right[name, arm] for name in rivals]) for arm in ("concat", "frozen/a")}
    row = rows["worst_case_accuracy:concat:test:linf@0.03"]
    assert row.value == pytest.approx(worst["concat"].mean()) and sorted(row.provenance["attacks"]) == sorted(rivals)
    assert rows["worst_case_accuracy:concat:test:l2@0.5"].value == pytest.approx(right["pgd_l2@0.5", "concat"].mean())
    gap = rows["worst_case_accuracy:concat-vs-frozen/a:test:linf@0.03"]
    assert gap.value == pytest.approx(worst["concat"].mean() - worst["frozen/a"].mean())
    assert gap.low is not None and gap.low <= gap.value <= gap.high and gap.pairing == "item and run"


def test_the_worst_case_is_never_above_a_single_attack():
    rows = rows_of(attacked_case()[0])
    for row in [row for row in rows.values() if row.quantity == "worst_case_accuracy" and row.versus is None]:
        singles = [rows[f"robust_accuracy:{row.arm}:test:{name}"].value for name in row.provenance["attacks"]]
        assert row.value <= min(singles)


def test_clean_accuracy_beside_is_that_of_the_attacked_items():
    case, _ = attacked_case()
    rows = {item: row for row, item in enumerate(case.items.ids)}
    places = [rows[item] for item in some(case).ids]
    table = case.tables["concat"]
    expected = (table.probs[:, places].argmax(axis=2) == np.asarray(case.items.targets)[places]).mean()
    assert rows_of(case)["worst_case_accuracy:concat:test:l2@0.5"].provenance["clean"] == pytest.approx(expected)


@pytest.mark.parametrize("weaker", ["square@0.03", "fgsm@0.03", "pgd@0.03~b"])
def test_a_planted_mask_is_flagged_and_a_sound_arm_is_not(weaker):
    """concat stands all of its own iterated attack and falls to what should be weaker; frozen/a falls to its own."""
    strong = {(name, "frozen/a"): 0.9 for name in NAMES} | {("apgd@0.03", "frozen/a"): 0.0}
    case, right = attacked_case(strong | {("apgd@0.03", "concat"): 1.0, (weaker, "concat"): 0.3})
    rows = rows_of(case)
    row = rows["gradient_masking:concat:test:linf@0.03"]
    assert row.value >= (~right[weaker, "concat"]).mean() - 1e-9
    flagged = attacks.flags(case, rows)
    assert [(flag.flag, flag.evidence) for flag in flagged] == [("gradient_masking", (row.id,))]
    assert rows["gradient_masking:frozen/a:test:linf@0.03"].value == 0.0
    assert not any("protected" in flag.why for flag in flagged)


def test_the_judge_asks_it_and_mirrored_arms_mirror():
    case, _ = attacked_case()
    ids = {row.id for row in judge(case).evidence}
    assert "worst_case_accuracy:concat-vs-frozen/a:test:linf@0.03" in ids
    turned = rows_of(replace(case, winner="frozen/a", best_single="concat", comparisons=()))
    mine = rows_of(case)["worst_case_accuracy:concat-vs-frozen/a:test:linf@0.03"]
    theirs = turned["worst_case_accuracy:frozen/a-vs-concat:test:linf@0.03"]
    assert mine.value == pytest.approx(-theirs.value) and mine.low == pytest.approx(-theirs.high)


def test_every_attacked_candidate_meets_the_best_single_and_no_baseline_does():
    case, right = attacked_case()
    names = {arm.name: arm.role for arm in case.arms}
    others = [name for name, role in names.items() if name not in ("concat", "frozen/a")][:2]
    tables = {
        name: {**known, **{other: replace(known["concat"], arm=other) for other in others}}
        for name, known in case.attacks.items()
    }
    arms = tuple(
        replace(arm, role={others[0]: "candidate", others[1]: "baseline"}.get(arm.name, arm.role)) for arm in case.arms
    )
    rows = rows_of(replace(case, arms=arms, attacks=tables))
    pairs = {(row.arm, row.versus) for row in rows.values() if row.quantity == "worst_case_accuracy" and row.versus}
    assert pairs == {("concat", "frozen/a"), (others[0], "frozen/a")}
    apart = [
        np.logical_and.reduce([right[name, arm] for name in NAMES if name.split("@")[1].startswith("0.03")]).mean()
        for arm in ("concat", "frozen/a")
    ]
    row = rows[f"worst_case_accuracy:{others[0]}-vs-frozen/a:test:linf@0.03"]
    assert row.value == pytest.approx(apart[0] - apart[1])


def test_nothing_is_asked_without_attacks_and_an_arm_that_could_not_be_attacked_is_left_out():
    assert attacks.ask(full_case()) == []
    case, _ = attacked_case()
    only = {name: {"frozen/a": tables["frozen/a"]} for name, tables in case.attacks.items()}
    rows = rows_of(replace(case, attacks=only))
    assert {row.arm for row in rows.values()} == {"frozen/a"}


def test_items_answered_alike_by_all_have_a_value_without_an_interval():
    case, _ = attacked_case({(name, "concat"): 0.0 for name in NAMES})
    row = rows_of(case)["worst_case_accuracy:concat:test:linf@0.03"]
    assert row.value == 0.0 and row.low is None and not isinstance(row.value, Undefined)


def test_items_are_joined_by_id_not_by_place():
    case, right = attacked_case()
    order = np.random.default_rng(1).permutation(ATTACKED)
    moved = {}
    for name, tables in case.attacks.items():
        moved[name] = {}
        for arm, each in tables.items():
            groups = None if each.items.groups is None else tuple(each.items.groups[row] for row in order)
            known = ItemTable(
                tuple(each.items.ids[row] for row in order), np.asarray(each.items.targets)[order], groups
            )
            moved[name][arm] = Table(arm, known, each.probs[:, order], each.runs)
    first, second = rows_of(case), rows_of(replace(case, attacks=moved))
    assert {name: row.value for name, row in first.items()} == pytest.approx(
        {name: row.value for name, row in second.items()}
    )
