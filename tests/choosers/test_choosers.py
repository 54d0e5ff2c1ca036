"""Choosers: what they find on functions whose answer is known, and how many scores they take."""

from __future__ import annotations

import numpy as np
import pytest

from transfuse.errors import UserError
from transfuse.registry import shelf
from transfuse.seeds import stream

UNIT = dict.fromkeys(("a", "b", "c"), (0.0, 1.0))


class Counted:
    """A score that remembers what it was asked."""

    def __init__(self, function):
        self.function, self.asked = function, []

    def __call__(self, values):
        self.asked.append(dict(values))
        return self.function(values)


def chosen(name, score, space=UNIT, budget=20, **settings):
    entry = shelf("choosers")[name]
    return entry.load().choose(space, score, budget, stream("choose", name), **entry.settings(settings))


def soup_loss(losses):
    """The mean of the members' own numbers, distance to 1."""
    return lambda values: abs(1 - sum(values[k] * losses[k] for k in values) / max(sum(values.values()), 1e-9))


def test_a_greedy_soup_keeps_what_helps_only():
    score = Counted(soup_loss({"a": 1.2, "b": 0.7, "c": 9.0}))
    assert chosen("greedy_soup", score) == {"a": 1.0, "b": 1.0, "c": 0.0}
    assert len(score.asked) == 5 and score.asked[3] == {"a": 1.0, "b": 1.0, "c": 0.0}


def test_a_member_that_changes_nothing_is_kept_unless_strict():
    score = soup_loss({"a": 1.1, "b": 1.1, "c": 5.0})
    assert chosen("greedy_soup", score) == {"a": 1.0, "b": 1.0, "c": 0.0}
    assert chosen("greedy_soup", score, strict=True) == {"a": 1.0, "b": 0.0, "c": 0.0}


def test_a_path_finds_its_lowest_point_and_never_leaves_its_ends():
    assert chosen("wise_path", lambda v: (v["a"] - 0.42) ** 2, {"a": (0.0, 1.0)})["a"] == pytest.approx(0.4)
    score = Counted(lambda v: (v["b"] - 0.3) ** 2)
    assert chosen("wise_path", score, {"a": (0.0, 1.0), "b": (0.0, 1.0)}) == pytest.approx({"a": 0.7, "b": 0.3})
    assert score.asked[0] == {"a": 1.0, "b": 0.0} and score.asked[-1] == {"a": 0.0, "b": 1.0}
    with pytest.raises(UserError, match="two ends"):
        chosen("wise_path", score)


def test_a_search_comes_near_the_best_and_is_the_same_again():
    pytest.importorskip("optuna")
    score = Counted(lambda v: (v["a"] - 0.7) ** 2 + (v["b"] - 0.2) ** 2)
    space = {"a": (0.0, 1.0), "b": (0.0, 1.0)}
    found = chosen("search", score, space, budget=40)
    assert score(found) < 0.02 and len(score.asked) == 41
    assert score.asked[0] == {"a": 0.5, "b": 0.5}
    assert found == chosen("search", score, space, budget=40)


@pytest.mark.parametrize("name", ["greedy_soup", "wise_path", "search"])
def test_no_chooser_takes_more_than_its_budget_allows_beyond_one_for_each_member(name):
    pytest.importorskip("optuna")
    score = Counted(lambda v: float(np.sum(list(v.values()))))
    space = UNIT if name != "wise_path" else {"a": (0.0, 1.0)}
    chosen(name, score, space, budget=4)
    assert len(score.asked) <= 4
