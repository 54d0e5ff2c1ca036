from __future__ import annotations

import numpy as np
import pytest

from evaluation.judged import items, judged, predictions
from transfuse.errors import UserError
from transfuse.evaluation import temperature
from transfuse.evaluation.tables import Table, differences, match_runs, pair, table
from transfuse.types import ItemTable, Predictions


def reordered(known: Table, order: np.ndarray) -> Table:
    old = known.items
    turned = ItemTable(tuple(old.ids[row] for row in order), np.asarray(old.targets)[order])
    return Table(known.arm, turned, known.probs[:, order], known.runs)


def test_temperatures_are_applied_run_by_run() -> None:
    known = items(20)
    given = predictions("a", known, 2.0)
    found = table(given, known, [1.0, 2.0, 3.0])
    for row, used in enumerate([1.0, 2.0, 3.0]):
        np.testing.assert_allclose(found.probs[row], temperature.apply(given.scores[row], "logit", used))
    np.testing.assert_allclose(table(given, known, np.full((3, 20), 2.0)).probs[1], found.probs[1])
    assert table(given, known).temperatures is None


def test_bad_rows_are_named_by_item() -> None:
    known = items(20)
    given = predictions("a", known, 2.0)
    scores = given.scores.copy()
    scores[1, 7, 0] = np.nan
    with pytest.raises(UserError, match="item7"):
        table(Predictions("a", given.runs, scores, "logit"), known)
    probs = np.full((1, 20, 4), 0.25)
    probs[0, 3] = [0.5, 0.5, 0.5, 0.5]
    with pytest.raises(UserError, match=r"no probabilities(.|\n)*item3"):
        table(Predictions("a", ("s0",), probs, "probability"), known)
    probs[0, 3] = [-0.5, 0.5, 0.5, 0.5]
    with pytest.raises(UserError, match="item3"):
        table(Predictions("a", ("s0",), probs, "probability"), known)


def test_sizes_must_agree() -> None:
    known = items(20)
    given = predictions("a", known, 2.0)
    with pytest.raises(UserError, match="do not match"):
        table(given, items(19))
    with pytest.raises(UserError, match="differ in number"):
        table(given, known, [1.0])
    with pytest.raises(UserError, match="no score column"):
        table(Predictions("a", given.runs, given.scores[:, :, :2], "logit"), known)
    with pytest.raises(UserError, match="two score columns"):
        table(Predictions("a", given.runs, given.scores[:, :, :1], "logit"), ItemTable(known.ids, known.targets * 0))
    with pytest.raises(UserError, match="do not match"):
        table(Predictions("a", ("s0",), np.zeros((1, 0, 2)), "logit"), ItemTable((), np.zeros(0, dtype=int)))
    with pytest.raises(UserError, match="distinct"):
        Table("a", known, np.zeros((2, 20, 4)), ("s0", "s0"))


def test_join_is_by_id() -> None:
    known = items(50)
    first, second = judged("a", known, 2.0), judged("b", known, 3.0)
    order = np.random.default_rng(0).permutation(50)
    np.testing.assert_allclose(
        differences(first, reordered(second, order), "log_loss"), differences(first, second, "log_loss")
    )
    np.testing.assert_allclose(
        differences(reordered(first, order), second, "log_loss"), differences(first, second, "log_loss")[:, order]
    )


def test_join_refuses_other_items_targets_and_classes() -> None:
    known = items(50)
    first = judged("a", known, 2.0)
    with pytest.raises(UserError, match="same items"):
        pair(first, judged("b", items(49), 2.0))
    with pytest.raises(UserError, match="different targets"):
        pair(first, Table("b", ItemTable(known.ids, (known.targets + 1) % 4), first.probs, first.runs))
    with pytest.raises(UserError, match="numbers of classes"):
        pair(first, Table("b", known, first.probs[:, :, :3], first.runs))


def test_runs_are_paired_by_name() -> None:
    known = items(30)
    first = judged("a", known, 2.0)
    second = judged("b", known, 2.0)
    turned = Table("b", known, second.probs[::-1], second.runs[::-1])
    np.testing.assert_allclose(differences(first, turned, "brier"), differences(first, second, "brier"))


def test_a_single_run_meets_every_run_and_says_so() -> None:
    known = items(30)
    many, one = judged("a", known, 2.0), judged("as_is", known, 1.0, runs=1)
    joined = pair(many, one)
    assert joined.runs == many.runs
    assert "as_is meets every run" in joined.note
    np.testing.assert_allclose(differences(one, many, "brier"), -differences(many, one, "brier"))
    assert pair(one, one).note == ""


def test_runs_that_only_one_has_are_left_out() -> None:
    known = items(30)
    first, second = judged("a", known, 2.0, runs=4), judged("b", known, 2.0, runs=3)
    runs, left, right, note = match_runs(first, second)
    assert (runs, left, right) == (("s0", "s1", "s2"), [0, 1, 2], [0, 1, 2])
    assert "only the 3 runs" in note
    with pytest.raises(UserError, match="share no run"):
        match_runs(first, Table("b", known, second.probs, ("x", "y", "z")))


def test_only_means_over_items_have_item_differences() -> None:
    known = items(30)
    with pytest.raises(UserError, match="no mean over items"):
        differences(judged("a", known, 2.0), judged("b", known, 2.0), "ece")
