"""The look before a run: keys that the run will find again, and no row that judges."""

from __future__ import annotations

from plan.example_plan import arms, plan, setting
from plan.test_graph import CHOSEN, keys
from transfuse.plan.choosing import make_choosing
from transfuse.plan.graph import Plan
from transfuse.plan.setting import Setting


def looking(made: Setting, *, every_score: bool = False) -> Plan:
    return make_choosing(made, arms(made), made.runs[0].blocks, every_score=every_score)


def test_features_and_costs_have_the_keys_of_a_run() -> None:
    """A later run finds what was extracted, whatever the steps are called."""
    made = setting(count=3)
    first, later = keys(looking(made), {}), keys(plan(made), CHOSEN)
    kept = [name for name in first if name.startswith(("extract", "count")) and ".logits" not in name]
    assert len(kept) == 6
    assert {first[name] for name in kept} <= set(later.values())


def test_answers_have_the_key_of_a_source_as_it_is() -> None:
    made = setting()
    known = {name: setting().cards[name] for name in made.cards}
    classes = ("x", "y", "z")
    own = Setting(**{**vars(made), "cards": {name: _with_classes(one, classes) for name, one in known.items()}})
    first, later = keys(looking(own), {}), keys(plan(own), CHOSEN)
    named = [name for name in first if ".logits" in name]
    assert len(named) == 2 and {first[name] for name in named} <= set(later.values())


def _with_classes(one, classes):
    from dataclasses import replace

    return replace(one, classes=classes)


def test_nothing_opens_the_judged_rows() -> None:
    made = looking(setting())
    assert not any(step.opens_test for step in made.steps.values())
    read = {ref.key for step in made.steps.values() for ref in step.inputs.values() if hasattr(ref, "key")}
    assert "test-key" not in read and "pool-key" in read


def test_more_scores_ask_again_and_extract_nothing() -> None:
    usual, every = keys(looking(setting()), {}), keys(looking(setting(), every_score=True), {})
    assert {name for name in usual if usual[name] != every[name]} == {"appraise"}
    assert looking(setting()).key != looking(setting(), every_score=True).key
