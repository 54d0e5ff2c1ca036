from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.judged import LOSSES, SKILLS, case, changed, items, judged
from transfuse.errors import UserError
from transfuse.evaluation.case import Case, MarginRule
from transfuse.evaluation.claims import status, statuses
from transfuse.evaluation.recommend import choose
from transfuse.evaluation.statistics.resample import Interval, moments
from transfuse.evaluation.tables import Table
from transfuse.evaluation.verdict import judge, record
from transfuse.evaluation.words import number
from transfuse.jsonio import canonical
from transfuse.types import Flag, ItemTable, Verdict


def interval(mean: float, seed: int = 0) -> Interval:
    noise = np.random.default_rng(seed).normal(size=(1, 100))
    found = moments(mean + noise - noise.mean())
    assert isinstance(found, Interval)
    return found


@pytest.mark.parametrize(
    ("low95", "high95", "low90", "high90", "margin", "expected"),
    [
        (0.11, 0.3, 0.12, 0.29, 0.1, "better"),
        (0.1, 0.3, 0.12, 0.29, 0.1, "not shown"),
        (-0.3, -0.11, -0.29, -0.12, 0.1, "worse"),
        (-0.12, 0.12, -0.09, 0.09, 0.1, "equivalent"),
        (-0.12, 0.12, -0.10, 0.09, 0.1, "not shown"),
        (0.0, 0.0, 0.0, 0.0, 0.0, "not shown"),
        (0.01, 0.02, 0.011, 0.019, 0.0, "better"),
        (0.01, 0.05, 0.011, 0.049, 0.1, "equivalent"),
    ],
)
def test_status_by_hand(low95: float, high95: float, low90: float, high90: float, margin: float, expected: str) -> None:
    assert status(low95, high95, low90, high90, margin, "higher") == expected
    assert status(-high95, -low95, -high90, -low90, margin, "lower") == expected


MIRROR = {"better": "worse", "worse": "better", "equivalent": "equivalent", "not shown": "not shown"}


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 0.5), st.sampled_from(["higher", "lower"]))
@settings(deadline=None, max_examples=60)
def test_mirrored_arms_mirror(mean: float, half: float, margin: float, direction: str) -> None:
    limits = (mean - half, mean + half, mean - 0.8 * half, mean + 0.8 * half)
    mirror = (-limits[1], -limits[0], -limits[3], -limits[2])
    word = status(*limits, margin, direction)  # pyright: ignore[reportArgumentType]
    assert status(*mirror, margin, direction) == MIRROR[word]  # pyright: ignore[reportArgumentType]


def test_holm_can_only_take_claims_away() -> None:
    found = [interval(0.21), *(interval(0.0, seed) for seed in range(1, 6)), interval(-2.0)]
    plain = statuses(found, 0.0, "higher", corrected=False)
    assert (plain[0], plain[-1]) == ("better", "worse")
    corrected = statuses(found, 0.0, "higher", corrected=True)
    assert (corrected[0], corrected[-1]) == ("not shown", "worse")
    assert statuses(found[:1], 0.0, "higher", corrected=True) == ["better"]


@pytest.mark.parametrize(
    ("metric", "baseline", "expected"),
    [
        ("log_loss", 0.4, 0.02),
        ("brier", 0.2, 0.01),
        ("accuracy", 0.9, 0.005),
        ("accuracy", 0.999, 0.001),
        ("accuracy", 0.2, 0.02),
        ("score", 17.0, 0.0),
        ("loss", 3.0, 0.15),
    ],
)
def test_auto_margin(metric: str, baseline: float, expected: float) -> None:
    assert MarginRule().value(metric, baseline) == pytest.approx(expected)
    assert MarginRule(0.07).value(metric, baseline) == 0.07


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf"), "large", ""])
def test_margin_refuses(wrong: str | float) -> None:
    with pytest.raises(UserError, match="margin"):
        MarginRule(wrong)


def test_margin_needs_a_finite_baseline() -> None:
    with pytest.raises(UserError, match="baseline"):
        MarginRule().value("log_loss", float("nan"))


def test_the_verdict_rests_on_its_evidence() -> None:
    found = judge(case())
    ids = [row.id for row in found.evidence]
    assert len(set(ids)) == len(ids)
    named = [name for claim in found.verdict.claims for name in claim.evidence]
    named += [name for flag in found.verdict.flags for name in flag.evidence]
    assert named and set(named) <= set(ids)
    assert "log_loss:concat-vs-frozen/lite0:test:clean" in named
    assert found.margin == pytest.approx(0.05 * LOSSES["frozen/lite0"])


def test_claims_say_status_effect_interval_and_power() -> None:
    found = judge(case())
    claim = next(
        claim for claim in found.verdict.claims if claim.versus == "frozen/lite0" and claim.quantity == "log_loss"
    )
    row = next(row for row in found.evidence if row.id == claim.evidence[0])
    assert claim.status == row.provenance["status"] == "better"
    assert isinstance(row.value, float) and row.high is not None and row.high < -row.provenance["margin"] < 0
    for part in ("shown better by more than the margin", number(row.value, "nats", signed=True), "zero is excluded"):
        assert part in claim.sentence
    assert number(row.provenance["detectable_effect"], "nats") in claim.sentence
    assert "these trained models" not in claim.sentence
    assert {claim.quantity for claim in found.verdict.claims} == {"log_loss", "accuracy"}


def test_open_claims_say_what_would_settle_them() -> None:
    close = judge(case({**SKILLS, "ensemble": 2.99}, count=100))
    claim = next(claim for claim in close.verdict.claims if claim.versus == "ensemble" and claim.quantity == "accuracy")
    assert claim.status == "not shown"
    assert "settle it" in claim.sentence


def test_one_run_and_folds_speak_of_these_trained_models() -> None:
    for one in (case(runs=1), changed(case(), protocol="crossfit")):
        assert all("these trained models" in claim.sentence for claim in judge(one).verdict.claims)


def test_an_arm_against_itself_finds_nothing() -> None:
    one = case()
    copy = replace(one.tables["concat"], arm="ensemble")
    found = judge(changed(one, tables={**one.tables, "ensemble": copy}))
    claims = {claim.quantity: claim.status for claim in found.verdict.claims if claim.versus == "ensemble"}
    assert claims == {"log_loss": "equivalent", "accuracy": "equivalent"}
    strict = judge(changed(one, tables={**one.tables, "ensemble": copy}, margin=MarginRule(0.0)))
    assert next(c for c in strict.verdict.claims if c.versus == "ensemble").status == "not shown"


def test_all_pairs_are_corrected_and_the_winners_own_are_not() -> None:
    one = case()
    pairs = (("concat", "ensemble"), ("concat", "frozen/lite0"), ("ensemble", "frozen/lite0"))
    rows = judge(changed(one, comparisons=pairs)).evidence
    rows = [row for row in rows if row.quantity == "log_loss" and (row.arm, row.versus) in pairs]
    assert len(rows) == 3
    assert all(row.family and row.adjusted is not None and row.p is not None and row.adjusted >= row.p for row in rows)
    own = [row for row in judge(one).evidence if row.versus and row.quantity in one.metrics]
    assert all(row.family is None and row.adjusted is None for row in own)


def test_recommends_the_best_where_nothing_cheaper_is_near() -> None:
    found = judge(case()).verdict.recommendation
    assert (found.arm, found.form) == ("concat", "fused")
    assert "best log-loss" in found.why


def test_recommends_the_cheapest_within_the_margin() -> None:
    same = {**SKILLS, "ensemble": 3.0}
    found = judge(case(same, {**LOSSES, "ensemble": 0.320})).verdict.recommendation
    assert (found.arm, found.form) == ("ensemble", "ensemble")
    assert "not shown worse" in found.why
    assert judge(case(same, {**LOSSES, "ensemble": 0.326})).verdict.recommendation.arm == "concat"


def test_never_recommends_what_is_shown_worse() -> None:
    one = case({**SKILLS, "ensemble": 2.0}, {**LOSSES, "ensemble": 0.301}, count=600)
    choice = choose(one)
    assert [arm.name for arm in choice.worse] == ["ensemble"]
    found = judge(one).verdict.recommendation
    assert found.arm == "concat"
    assert "Passed over" in found.why and "ensemble" in found.why


def test_controls_and_the_prior_are_never_shipped() -> None:
    losses = {**LOSSES, "copies": 0.0, "prior": 0.0}
    assert judge(case(losses=losses)).verdict.recommendation.arm == "concat"


def test_arms_without_tables_are_not_shipped() -> None:
    one = case({**SKILLS, "gate": 3.5}, {**LOSSES, "gate": 0.1})
    left = {name: table for name, table in one.tables.items() if name != "gate"}
    assert judge(one).verdict.recommendation.arm == "gate"
    assert judge(changed(one, tables=left)).verdict.recommendation.arm == "concat"


def test_budget_limits_what_is_shipped() -> None:
    assert (
        judge(changed(case(), within_budget=frozenset({"frozen/lite0"}))).verdict.recommendation.arm == "frozen/lite0"
    )
    none = judge(changed(case(), within_budget=frozenset())).verdict.recommendation
    assert none.arm == "frozen/lite0"
    assert "No arm is within the budget" in none.why


def test_ties_go_to_parameters_then_name() -> None:
    one = case({**SKILLS, "ensemble": 3.0}, {**LOSSES, "ensemble": 0.300})
    arms = {arm.name: arm for arm in one.arms}
    cost = arms["concat"].cost
    assert cost is not None
    level = [replace(arm, cost=cost) for arm in one.arms]
    assert judge(changed(one, arms=tuple(level))).verdict.recommendation.arm == "concat"
    smaller = [replace(arm, cost=replace(cost, parameters=1)) if arm.name == "ensemble" else arm for arm in level]
    assert judge(changed(one, arms=tuple(smaller))).verdict.recommendation.arm == "ensemble"


def test_unknown_costs_leave_the_best() -> None:
    one = case({**SKILLS, "ensemble": 3.0}, {**LOSSES, "ensemble": 0.301})
    free = tuple(replace(arm, cost=None) for arm in one.arms)
    found = judge(changed(one, arms=free)).verdict.recommendation
    assert found.arm == "concat"
    assert "not known to be cheaper: ensemble" in found.why


def test_flags() -> None:
    passed = Flag("invalid", "rows were seen")
    assert judge(changed(case(), flags=(passed,))).verdict.flags == (passed,)
    found = judge(case({**SKILLS, "concat": 1.0})).verdict
    assert [flag.flag for flag in found.flags] == ["worse_than_best_single"]
    assert "What is recommended, concat, is shown worse than the best single source" in found.flags[0].why
    assert found.flags[0].evidence == ("log_loss:concat-vs-frozen/lite0:test:clean",)


def shipped_ensemble(skill: float, **fields: object) -> Verdict:
    """The verdict of a case in which the selection rows liked the ensemble best, whatever judged rows do."""
    one = case({**SKILLS, "ensemble": skill}, {**LOSSES, "ensemble": 0.2})
    found = judge(changed(one, comparisons=(("concat", "frozen/lite0"),), **fields)).verdict
    assert found.recommendation.arm == "ensemble"
    return found


def test_what_ships_is_compared_with_the_best_single_whoever_was_the_winner() -> None:
    found = shipped_ensemble(2.9)
    assert [(claim.arm, claim.quantity, claim.status) for claim in found.claims if claim.arm == "ensemble"] == [
        ("ensemble", "log_loss", "better"),
        ("ensemble", "accuracy", "better"),
    ]
    # The winner's own claims stay uncorrected: this one is no member of a family.
    assert all("correction" not in claim.sentence for claim in found.claims)
    assert found.flags == ()


def test_what_ships_is_flagged_where_the_judged_rows_show_it_worse_with_what_to_ship_instead() -> None:
    (flag,) = shipped_ensemble(1.0).flags
    assert (flag.flag, flag.evidence) == ("worse_than_best_single", ("log_loss:ensemble-vs-frozen/lite0:test:clean",))
    assert "What is recommended, ensemble, is shown worse than the best single source, frozen/lite0" in flag.why
    assert flag.why.endswith("by the judged rows, ship frozen/lite0 instead.")
    (dear,) = shipped_ensemble(1.0, within_budget=frozenset({"ensemble"})).flags
    assert dear.why.endswith("if the budget can be stretched: frozen/lite0 is not within it.")


def test_of_predictions_from_elsewhere_what_ships_meets_the_best_of_the_others_unless_it_is_the_candidate() -> None:
    found = shipped_ensemble(3.2, protocol="predictions")
    assert {(claim.arm, claim.versus) for claim in found.claims} == {("concat", "frozen/lite0"), ("ensemble", "concat")}
    asked = judge(changed(case(), protocol="predictions", comparisons=(("concat", "frozen/lite0"),))).verdict
    assert asked.recommendation.arm == "concat" and {claim.arm for claim in asked.claims} == {"concat"}


def test_no_difference_in_accuracy_reaches_beyond_100_points() -> None:
    """Two runs that contradict each other: a t interval with one degree of freedom knows no limits, a share does."""
    one = case(runs=2)
    right = np.eye(4)[one.items.targets]
    turns = np.stack([right, right[:, [1, 2, 3, 0]]])
    tables = {**one.tables, "concat": replace(one.tables["concat"], probs=turns, logits=None)}
    found = judge(changed(one, tables=tables)).evidence
    paired = {row.quantity: row for row in found if (row.arm, row.versus) == ("concat", "frozen/lite0")}
    row = paired["accuracy"]
    assert (row.low, row.high, row.provenance["low90"], row.provenance["high90"]) == (-1.0, 1.0, -1.0, 1.0)
    assert row.provenance["status"] == "not shown"
    parts = [row for row in found if row.quantity == "class_difference" and row.unit == "share"]
    assert all(-1.0 <= (row.low or 0.0) <= (row.high or 0.0) <= 1.0 for row in parts)
    # A loss has no worst value, so its limits stay what they are.
    assert paired["log_loss"].high is not None and paired["log_loss"].high > 20.0


def test_copies_that_do_as_well_are_flagged_and_copies_that_do_not_are_not() -> None:
    against = (("concat", "frozen/lite0"), ("concat", "copies"))
    flagged = {}
    for skill in (2.0, 3.0, 3.6):
        one = changed(case({**SKILLS, "copies": skill}, count=2000), comparisons=against)
        flagged[skill] = [flag.flag for flag in judge(one).verdict.flags]
    assert flagged == {2.0: [], 3.0: ["capacity_not_diversity"], 3.6: ["capacity_not_diversity"]}


def test_accuracy_can_be_primary() -> None:
    one = case()
    accuracy = replace(one.task, metric="accuracy", also=("log_loss",))
    found = judge(
        changed(one, task=accuracy, selection={**LOSSES, "concat": 0.9, "ensemble": 0.8, "frozen/lite0": 0.7})
    )
    assert found.verdict.recommendation.arm == "concat"
    assert found.margin == pytest.approx(0.015)
    assert {claim.quantity for claim in found.verdict.claims} == {"accuracy"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"winner": "nobody"}, "unknown arm"),
        ({"comparisons": (("concat", "gate"),)}, "unknown judged arm"),
        ({"selection": {"concat": float("nan"), "frozen/lite0": 0.5}}, "finite"),
        ({"selection": {"concat": 0.5}}, "must be judged"),
        ({"arms": ()}, "unknown arm"),
    ],
)
def test_a_broken_case_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        changed(case(), **fields)


def test_nothing_to_ship_is_an_error() -> None:
    one = case()
    diagnostic = tuple(replace(arm, role="diagnostic") for arm in one.arms)
    with pytest.raises(UserError, match="nothing to recommend"):
        judge(changed(one, arms=diagnostic))


def test_record_has_the_published_form() -> None:
    one = case()
    found = record(judge(one), one.arms, {"ordinal": 1}, {"title": "t"}, [{"what": "x", "why": "y"}])
    assert list(found) == ["schema", "verdict", "arms", "evidence", "ledger", "setup", "not_measured"]
    assert found["schema"] == "transfuse/evidence/1"
    assert set(found["verdict"]["recommendation"]) == {"arm", "form", "why"}
    assert {"arm", "versus", "quantity", "status", "evidence"} <= set(found["verdict"]["claims"][0])
    assert set(found["arms"][0]) == {"name", "role", "members", "method", "train", "seeds", "cost"}
    assert found["setup"] == {"title": "t"} and found["not_measured"] == [{"what": "x", "why": "y"}]
    assert all(("value" in row) != ("undefined" in row) for row in found["evidence"])
    json.dumps(found, allow_nan=False)


def test_equal_cases_have_equal_bytes() -> None:
    first, second = (canonical(record(judge(case(runs=5)), case().arms, {}, {})) for _ in range(2))
    assert first == second


def test_the_order_of_items_is_irrelevant() -> None:
    one, known = case(), items(200)
    order = np.random.default_rng(3).permutation(200)
    turned_items = replace(known, ids=tuple(known.ids[row] for row in order), targets=known.targets[order])
    table = judged("concat", known, 3.0)
    turned = replace(table, items=turned_items, probs=table.probs[:, order])
    found = judge(changed(one, tables={**one.tables, "concat": turned}))
    expected = {claim.evidence: claim.status for claim in judge(one).verdict.claims}
    assert {claim.evidence: claim.status for claim in found.verdict.claims} == expected


def test_groups_widen_the_claims() -> None:
    def width(one: Case) -> float:
        row = next(row for row in judge(one).evidence if row.id == "log_loss:concat-vs-frozen/lite0:test:clean")
        assert row.low is not None and row.high is not None
        return row.high - row.low

    single = case(count=100)
    ids = tuple(f"{copy}-{item}" for copy in range(3) for item in single.items.ids)
    alone = replace(single.items, ids=ids, targets=np.tile(single.items.targets, 3))
    grouped = replace(alone, groups=tuple(item.split("-")[1] for item in ids))

    def tripled(known: ItemTable) -> Case:
        tables = {
            name: Table(name, known, np.tile(table.probs, (1, 3, 1)), table.runs)
            for name, table in single.tables.items()
        }
        return changed(single, items=known, tables=tables)

    assert width(tripled(grouped)) > 1.4 * width(tripled(alone))
