from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation.full_case import full_case
from evaluation.judged import changed
from transfuse.evaluation.case import Case, MarginRule
from transfuse.evaluation.claims import paired_rows
from transfuse.evaluation.questions import next_experiment, pareto
from transfuse.evaluation.statistics.next import cheapest
from transfuse.evaluation.verdict import judge
from transfuse.types import Cost, Undefined


def test_seeds_come_first_where_a_few_would_do() -> None:
    step = cheapest(500, 5, settling_items=738, settling_runs=9, flops_per_run=8e11)
    assert (step.kind, step.more, step.flops) == ("runs", 4, pytest.approx(3.2e12))
    assert "Train 4 more seeds" in step.sentence and "3.2e+12 FLOPs" in step.sentence
    assert "about 240 more rows" in step.sentence


def test_one_seed_is_one_and_groups_are_what_counts() -> None:
    assert "Train 1 more seed of both arms" in cheapest(500, 2, None, 3, None).sentence
    assert "(now 200 in 2 groups; new ones, as large, are what counts)" in cheapest(200, 1, 390, None, None, 2).sentence


def test_labels_come_first_where_seeds_do_not_settle_it() -> None:
    for runs in (None, 400):
        step = cheapest(500, 5, settling_items=738, settling_runs=runs, flops_per_run=8e11)
        assert (step.kind, step.more) == ("items", 238)
        assert "Label about 240 more rows" in step.sentence


def test_a_difference_at_the_margin_is_no_reason_to_label_twenty_times_as_many() -> None:
    step = cheapest(300, 1, settling_items=43_678, settling_runs=None, flops_per_run=None)
    assert (step.kind, step.more) == ("items", 43_378)
    assert step.sentence.startswith("About 44,000 more rows to judge (now 300)") and "choose by cost" in step.sentence
    assert "Label about 5,700 more rows" in cheapest(300, 1, 6_000, None, None).sentence


def test_many_seeds_are_better_than_nothing_and_nothing_is_said_so() -> None:
    assert cheapest(500, 5, None, 400, None).more == 395
    step = cheapest(500, 1, None, None, None)
    assert step.kind == "neither" and "choose by cost" in step.sentence
    assert cheapest(500, 5, 400, None, None).more == 1


def close(count: int, runs: int = 1) -> Case:
    """The winner is better than the best single by about the margin."""
    case = full_case(runs=runs, count=count)
    table = replace(case.tables["frozen/a"], arm="concat")
    probs = 0.97 * table.probs + 0.03 * case.tables["concat"].probs
    tables = {**case.tables, "concat": replace(table, probs=probs)}
    return changed(case, tables=tables, margin=MarginRule(0.0156))


def test_an_open_claim_comes_with_the_next_step() -> None:
    found = judge(close(120))
    claim = next(each for each in found.verdict.claims if each.versus == "frozen/a" and each.quantity == "log_loss")
    assert claim.status == "not shown"
    (row,) = [row for row in found.evidence if row.quantity == "next_experiment"]
    assert isinstance(row.value, float) and row.value >= 1
    assert row.unit == ("rows" if row.provenance["kind"] == "items" else "runs")
    assert str(row.provenance["sentence"]).endswith(".")


def test_a_settled_claim_needs_no_next_step() -> None:
    assert next_experiment.ask(full_case()) == []
    assert next_experiment.ask(changed(full_case(), winner="frozen/a")) == []


def test_what_only_the_correction_keeps_open_wants_more_rows_than_there_are() -> None:
    case, couple = full_case(runs=1, count=120), ("concat", "frozen/a")
    (alone,) = paired_rows(case, [couple], "log_loss", corrected=False)
    assert alone.high is not None and alone.high < 0
    # Just inside its interval: by itself it is shown, one of two it is not.
    tight = changed(case, margin=MarginRule(-0.999 * alone.high), comparisons=(couple, couple[::-1]))
    (plain,) = paired_rows(tight, [couple], "log_loss", corrected=False)
    row, mirrored = paired_rows(tight, tight.comparisons, "log_loss", corrected=True)
    assert (plain.provenance["status"], row.provenance["status"]) == ("better", "not shown")
    assert row.provenance["detectable_effect"] > plain.provenance["detectable_effect"]
    assert row.provenance["settling_items"] > max(row.n, plain.provenance["settling_items"])
    assert mirrored.provenance["settling_items"] == row.provenance["settling_items"]
    (step,) = next_experiment.ask(tight)
    assert step.value == row.provenance["settling_items"] - row.n


def values(case: Case) -> dict[str, object]:
    return {row.arm: (row.value, row.provenance["by"]) for row in pareto.ask(case)}


def test_only_what_is_shown_puts_an_arm_off_the_front() -> None:
    found = values(full_case(count=400))
    assert found["gate"] == (0.0, ["concat"])
    assert found["concat"][0] == found["frozen/a"][0] == 1.0  # pyright: ignore[reportIndexIssue]
    assert "prior" not in found and "copies" not in found


def test_dominance_needs_an_interval_and_no_higher_cost() -> None:
    case = full_case(count=400)
    costly = tuple(replace(arm, cost=Cost(10**6, 10, 1e3, 1e9)) if arm.name == "concat" else arm for arm in case.arms)
    assert values(changed(case, arms=costly))["gate"] == (1.0, [])
    unknown = tuple(replace(arm, cost=None) if arm.name == "concat" else arm for arm in case.arms)
    assert "concat" not in values(changed(case, arms=unknown))
    assert values(changed(case, arms=unknown))["gate"] == (1.0, [])


def test_the_cheaper_of_two_equals_wins_and_equals_at_equal_cost_both_stay() -> None:
    case = full_case(count=400)
    same = {**case.tables, "gate": replace(case.tables["concat"], arm="gate")}
    assert values(changed(case, tables=same))["gate"] == (0.0, ["concat"])
    priced = tuple(replace(arm, cost=Cost(1000, 10, 3e6, 1e9)) if arm.name == "gate" else arm for arm in case.arms)
    found = values(changed(case, tables=same, arms=priced))
    assert found["gate"] == found["concat"] == (1.0, [])


def test_neither_way_is_undefined_with_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_experiment, "cheapest", lambda *_: cheapest(1, 1, None, None, None))
    (row,) = next_experiment.ask(close(120))
    assert isinstance(row.value, Undefined) and "choose by cost" in row.value.reason
