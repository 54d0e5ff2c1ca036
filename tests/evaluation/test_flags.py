"""Every flag of the design is reachable, from predictions whose effect is known, and names the rows it rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluation.full_case import ARMS, full_case, judged
from evaluation.judged import LOSSES, ROLES, SKILLS, arm, case, changed, items
from transfuse.evaluation import recommend
from transfuse.evaluation.case import Case, MarginRule
from transfuse.evaluation.claims import comparison_rows
from transfuse.evaluation.questions import compare, guards, harm, negative_transfer, next_experiment, prior, rivals
from transfuse.evaluation.tables import Table
from transfuse.types import Flag


def with_skill(**skills: float) -> Case:
    """The full case with some arms' skills changed, on more items."""
    one = full_case(count=600)
    named = {name.replace("_", "/"): skill for name, skill in skills.items()}
    tables = {name: judged(name, one.items, named.get(name, ARMS[name][3]), 3) for name in one.tables}
    return changed(one, tables=tables, conditions={}, outside={}, features=None, observations=(), guards={})


def spoilt_class(one: Case, name: str) -> Table:
    """The arm's table with a third of its answers on the first class turned to the second."""
    table = one.tables[name]
    probs = table.probs.copy()
    hit = (table.items.targets == 0) & (np.arange(len(table.items)) % 3 == 0)
    probs[:, hit] = probs[:, hit][..., [1, 0, 2, 3]]
    return replace(table, probs=probs, logits=None)


def invalid() -> Case:
    return changed(with_skill(), flags=(Flag("invalid", "rows of the test split were seen in training"),))


def unseen() -> Case:
    return changed(with_skill(), flags=(Flag("unseen_unknown", "nobody states what a was trained on"),))


def harm_by_guard() -> Case:
    return changed(with_skill(concat=2.25), guards={"worst_class": 0.0, "brier": 0.0})


def harm_by_class() -> Case:
    one = with_skill(concat=4.0)
    return changed(one, tables={**one.tables, "concat": spoilt_class(one, "concat")}, winner="concat")


CASES: dict[str, tuple[str, Callable[[], Case]]] = {
    "rows seen": ("invalid", invalid),
    "unknown rows": ("unseen_unknown", unseen),
    "a source that does harm": ("negative_transfer", lambda: with_skill(without_a=4.2)),
    "worse than one source": ("worse_than_best_single", lambda: with_skill(concat=1.0)),
    "a guard that is not kept": ("harm", harm_by_guard),
    "a class that pays": ("harm", harm_by_class),
    "labels that mean nothing": ("no_better_than_prior", lambda: with_skill(concat=0.0)),
    "copies do as well": ("capacity_not_diversity", lambda: with_skill(copies=3.7)),
}
QUESTIONS = (compare, rivals, prior, guards, harm, negative_transfer)


def raised(one: Case) -> tuple[list[Flag], set[str]]:
    """Flags of the questions that raise any, and the ids of all their rows."""
    rows = {row.id: row for question in QUESTIONS for row in question.ask(one)}
    found = [flag for question in QUESTIONS if hasattr(question, "flags") for flag in question.flags(one, rows)]
    return [*one.flags, *found], set(rows)


@pytest.mark.parametrize("name", sorted(CASES))
def test_each_flag_is_raised_and_says_why(name: str) -> None:
    word, made = CASES[name]
    flags, ids = raised(made())
    mine = [flag for flag in flags if flag.flag == word]
    assert mine, [flag.flag for flag in flags]
    for flag in mine:
        assert flag.why and set(flag.evidence) <= ids
        assert flag.evidence or word in ("invalid", "unseen_unknown")


@pytest.mark.parametrize(("skill", "raised_"), [(4.5, True), (2.0, False), (3.1, False)])
def test_a_branch_that_is_better_untrained_is_told(
    skill: float, raised_: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shown better by more than the margin, and not merely as good: that needs no flag to temper a gain."""
    monkeypatch.setitem(ROLES, "random/vgg", ("control", "fused", 3e6))
    one = case({**SKILLS, "random/vgg": skill}, {**LOSSES, "random/vgg": 0.4}, count=600)
    one = changed(one, comparisons=(*one.comparisons, ("concat", "random/vgg")))
    flags = [flag for flag in raised(one)[0] if flag.flag == "negative_transfer"]
    assert len(flags) == raised_
    for flag in flags:
        assert flag.why.startswith("What vgg had learned does harm: concat is shown worse with it than with the same")
        assert flag.evidence == ("log_loss:concat-vs-random/vgg:test:clean",)


def test_a_clean_gain_raises_none() -> None:
    assert raised(with_skill(without_a=2.0, without_b=2.2))[0] == []


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_what_ships_is_held_against_answering_without_looking(kind: str) -> None:
    """Whoever the winner was; a gain within the margin is a gain, and without a prior nothing is asked."""
    known = case({**SKILLS, "concat": 0.15}, count=4000)
    small = changed(known, margin=MarginRule(0.5), within_budget=frozenset({"concat"}))
    (row,) = prior.ask(small)
    assert (row.arm, row.versus) == ("concat", "prior") and row.high is not None and -0.5 < row.high < 0
    assert prior.flags(small, {row.id: row}) == []
    task = replace(small.task, kind=kind)
    none = changed(case({**SKILLS, "concat": 0.0}, {**LOSSES, "ensemble": 0.2}), task=task)
    # The winner is held against it too, for what else rests on it; the flag speaks of what ships.
    rows = {row.id: row for row in prior.ask(none)}
    assert [row.arm for row in rows.values()] == ["ensemble", "concat"] and prior.flags(none, rows) == []
    lost = changed(none, tables={**none.tables, "ensemble": replace(none.tables["concat"], arm="ensemble")})
    (flag,) = prior.flags(lost, {row.id: row for row in prior.ask(lost)})
    said = {"multiclass": "the class frequencies", "regression": "the mean"}[kind]
    assert f"ensemble is not shown better than answering every item with {said} of the training rows" in flag.why
    left = {name: table for name, table in lost.tables.items() if name != "prior"}
    assert prior.ask(changed(lost, tables=left)) == []


def test_of_labels_that_mean_nothing_no_gain_is_explained_away() -> None:
    """Copies do as well as everything else there; what the reader must know is that nothing was learned."""
    nothing = with_skill(
        **dict.fromkeys(("concat", "gate", "ensemble", "frozen_a", "frozen_b", "copies", "without_a", "without_b"), 0.0)
    )
    assert [flag.flag for flag in raised(nothing)[0]] == ["no_better_than_prior"]


def test_a_gain_that_is_excluded_is_not_explained_away() -> None:
    """The winner equals the best single, as copies do: nothing was gained that size could explain."""
    found = raised(with_skill(concat=2.2, gate=2.2, copies=2.2, without_a=2.0, without_b=2.2))[0]
    assert "capacity_not_diversity" not in [flag.flag for flag in found]


SKILL = st.floats(-1.0, 5.0)
NAMES = sorted(ROLES)


@given(
    skills=st.fixed_dictionaries(dict.fromkeys(NAMES, SKILL)),
    losses=st.fixed_dictionaries({name: st.floats(0.0, 3.0) for name in NAMES}),
    winner=st.sampled_from(["concat", "gate", "ensemble", "frozen/lite0"]),
    margin=st.sampled_from(["auto", 0.0, 0.5, 1e6]),
    budget=st.one_of(st.none(), st.frozensets(st.sampled_from(NAMES), max_size=3)),
    count=st.integers(1, 25),
    runs=st.integers(1, 3),
    priced=st.booleans(),
)
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
def test_there_is_always_one_arm_to_ship(
    skills: dict[str, float],
    losses: dict[str, float],
    winner: str,
    margin: str | float,
    budget: frozenset[str] | None,
    count: int,
    runs: int,
    priced: bool,
) -> None:
    """Whatever the predictions, margin, budget and costs: one arm that may be shipped, within budget where any is."""
    known = items(count)
    from evaluation.judged import judged as table_of

    arms = tuple(arm(name, runs) if priced else replace(arm(name, runs), cost=None) for name in NAMES)
    one = changed(
        case(runs=runs, count=count),
        items=known,
        arms=arms,
        tables={name: table_of(name, known, skill, runs) for name, skill in skills.items()},
        selection=losses,
        winner=winner,
        comparisons=tuple((winner, name) for name in ("frozen/lite0", "ensemble") if name != winner),
        margin=MarginRule(margin),
        within_budget=budget,
    )
    choice = recommend.choose(one)
    found = recommend.recommend(one, choice)
    shipped = one.arm(found.arm)
    assert shipped.role in ("candidate", "baseline") and shipped.name != "prior" and found.form == shipped.form
    assert found.why.endswith(".") and found.arm in found.why
    allowed = {each.name for each in recommend.may_ship(one)} & (budget if budget is not None else set(NAMES))
    assert found.arm in allowed or not allowed
    if allowed:
        best = min(losses[name] for name in allowed)
        assert losses[found.arm] <= best + one.margin_of("log_loss") + 1e-12
        assert not any(recommend.shown_worse(row) for row in choice.rows if row.arm == found.arm)


def test_not_shown_always_names_the_next_step() -> None:
    """Over cases near a tie: an open comparison with the best single has its next experiment, a settled one none."""
    seen = set()
    for skill, count in ((2.0, 60), (2.05, 200), (2.2, 60), (2.6, 400), (3.5, 400)):
        one = case({**SKILLS, "concat": skill}, LOSSES, count=count)
        status = comparison_rows(one, [("concat", "frozen/lite0")], "log_loss", False)[0].provenance["status"]
        steps = next_experiment.ask(one)
        seen.add(status)
        assert bool(steps) == (status == "not shown")
        for step in steps:
            assert step.provenance["kind"] in ("runs", "items", "neither") and step.provenance["sentence"].endswith(".")
    assert {"not shown", "better"} <= seen


def test_skills_are_what_the_cases_say() -> None:
    one = with_skill(concat=1.0)
    right = {name: (table.probs.argmax(axis=2) == table.items.targets).mean() for name, table in one.tables.items()}
    assert right["concat"] < right["frozen/a"] < right["ensemble"]
    assert isinstance(np.mean(list(right.values())), float)
