"""What a recipe fixes beforehand: target, guards, sizes, repeats and the alternative."""

from __future__ import annotations

from typing import Any

import pytest

from transfuse.errors import UserError
from transfuse.plan.recipe import Recipe, parse, validated, written


def recipe(**more: Any) -> Recipe:
    return validated({"sources": {"a": "demo:a"}, "data": "x", **more}, where="test")


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"judge": {"guards": {"worst_clas": 0.1}}}, "did you mean 'worst_class'"),
        ({"judge": {"guards": {"zzz": 0.1}}}, "known: "),
        ({"judge": {"guards": {"accuracy": -0.1}}}, "0 or more"),
        ({"judge": {"guards": {"accuracy": "much"}}}, "judge.guards.accuracy"),
        ({"judge": {"target": "low"}}, "judge.target"),
        ({"judge": {"target": float("nan")}}, "finite"),
        ({"sizes": [0.1, 0]}, "above 0 and at most 1"),
        ({"sizes": [1.5]}, "above 0 and at most 1"),
        ({"sizes": "some"}, "sizes"),
        ({"repeats": 0}, "repeats"),
        ({"alternative": {"spec": "demo:b", "tapz": ["map"]}}, "did you mean 'taps'"),
        ({"alternative": ""}, "names no source"),
    ],
)
def test_wrong_values_are_refused_by_name(given: dict[str, Any], word: str) -> None:
    with pytest.raises(UserError, match=word):
        recipe(**given)


def test_an_alternative_is_a_source_by_its_spec_or_in_full() -> None:
    short, full = recipe(alternative="demo:b"), recipe(alternative={"spec": "demo:b"})
    assert short == full
    assert list(short.entries) == ["a", "alternative"]
    assert list(recipe().entries) == ["a"]


@pytest.mark.parametrize(
    ("given", "smaller"),
    [
        ({}, ()),
        ({"ladder": "standard"}, (0.1, 0.3)),
        ({"ladder": "full", "sizes": [1.0]}, ()),
        ({"sizes": [1, 0.5, 0.2, 0.5]}, (0.2, 0.5)),
    ],
)
def test_sizes_rise_once_each_and_the_whole_is_always_there(given: dict[str, Any], smaller: tuple[float, ...]) -> None:
    assert recipe(**given).smaller_sizes == smaller


def test_what_is_written_reads_back_the_same() -> None:
    judge = {"target": 0.85, "guards": {"worst_class": 0.02}}
    made = recipe(alternative="demo:b", judge=judge, sizes=[0.5], repeats=2)
    assert parse(written(made), where="again") == made
