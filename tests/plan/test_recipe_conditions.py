"""Conditions in a recipe: kinds and names, levels that exist, and what each of them stands for."""

from __future__ import annotations

import pytest

from plan.example_plan import setting
from transfuse.errors import UserError
from transfuse.plan.exposures import conditions
from transfuse.plan.recipe import parse, written
from transfuse.registry import shelf


def given(conditions: str) -> dict[str, list]:
    return parse(f"sources: [a, b]\ndata: x\njudge: {{conditions: {conditions}}}", where="test").judge.conditions


def test_a_recipe_asks_for_none_by_default():
    assert setting().recipe.judge.conditions == {}


def test_levels_are_sorted_and_may_stand_alone():
    assert given("{corruption: [5, 1, 1], blur: 3}") == {"corruption": [1, 5], "blur": [3]}


def test_the_lock_file_keeps_what_was_asked():
    recipe = setting(judge={"conditions": {"corruption": [1, 3]}}).recipe
    assert parse(written(recipe), where="test").judge == recipe.judge


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("{gausian_noise: 1}", "did you mean 'gaussian_noise'"),
        ("{corruptions: [1]}", "did you mean 'corruption'"),
        ("{zzz: 1}", "known: apgd, attack, blur, brightness"),
        ("{blur: 6}", "level must be a whole number from 1 to 5, got 6"),
        ("{corruption: [1, 0]}", "from 1 to 5, got 0"),
        ("{blur: 1.5}", "whole number"),
        ("{blur: true}", "whole number"),
        ("{blur: []}", "no level"),
        ("[blur]", "map names to levels"),
    ],
)
def test_unknown_names_and_levels_are_refused(wrong, told):
    with pytest.raises(UserError, match=told):
        given(wrong)


def test_a_kind_is_all_its_conditions_at_every_level_each_once():
    names = sorted(name for name, entry in shelf("conditions").items() if entry.traits["kind"] == "corruption")
    found = conditions({"corruption": [1, 3], "blur": [3, 5]})
    assert [one.name for one in found] == sorted([f"{name}@{level}" for name in names for level in (1, 3)] + ["blur@5"])
    assert all(one.judged and one.params["condition"]["name"] in names for one in found)


def test_a_conditions_file_and_level_decide_the_steps_and_nothing_else_does():
    one, other = conditions({"blur": [1, 2]})
    assert one.params == {"condition": {"name": "blur", "level": 1}} != other.params
    assert one.digests == (shelf("conditions")["blur"].digest,)
