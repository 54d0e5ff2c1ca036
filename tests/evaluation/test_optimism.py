from __future__ import annotations

import numpy as np
import pytest

from evaluation.full_case import full_case
from evaluation.judged import changed
from transfuse.errors import UserError
from transfuse.evaluation.questions import optimism as question
from transfuse.evaluation.statistics.optimism import bootstrap_choice, expected_maximum


@pytest.mark.parametrize(
    ("count", "expected"), [(1, 0.0), (2, 0.56), (5, 1.16), (10, 1.54), (20, 1.87), (50, 2.25), (72, 2.39)]
)
def test_the_best_of_equal_candidates_is_overrated_by_so_many_standard_errors(count: int, expected: float) -> None:
    assert expected_maximum(count) == pytest.approx(expected, abs=0.005)


def test_two_candidates_in_closed_form() -> None:
    assert expected_maximum(2) == pytest.approx(np.pi**-0.5, abs=1e-9)
    assert expected_maximum(3) == pytest.approx(1.5 * np.pi**-0.5, abs=1e-9)
    with pytest.raises(UserError):
        expected_maximum(0)


def test_choosing_among_equals_is_flattering_and_the_bootstrap_says_by_about_how_much() -> None:
    """Ten equal candidates, independent rows: the chosen one's true loss is 1, and its apparent loss is lower."""
    rng = np.random.default_rng(0)
    apparent, corrected = [], []
    for _ in range(40):
        found = bootstrap_choice(1.0 + rng.normal(size=(10, 200)), resamples=200)
        apparent.append(found.apparent)
        corrected.append(found.corrected)
    flattered = 1.0 - np.mean(apparent)
    assert flattered == pytest.approx(expected_maximum(10) / 200**0.5, rel=0.2)
    assert abs(1.0 - np.mean(corrected)) < 0.45 * flattered


def test_one_that_is_clearly_best_is_not_flattered() -> None:
    rng = np.random.default_rng(1)
    losses = np.stack([rng.normal(size=300), 2.0 + rng.normal(size=300)])
    found = bootstrap_choice(losses)
    assert (found.chosen, found.kept) == (0, 1.0)
    assert found.optimism == pytest.approx(0.0, abs=0.01)
    assert found.se == pytest.approx(losses[0].std(ddof=1) / 300**0.5)


def test_equal_copies_and_single_candidates_cost_nothing() -> None:
    losses = np.random.default_rng(2).normal(size=(1, 100))
    for each in (losses, np.repeat(losses, 5, axis=0)):
        found = bootstrap_choice(each)
        assert found.chosen == 0 and found.optimism == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("broken", [np.ones(5), np.ones((3, 1)), np.array([[1.0, np.nan]])])
def test_broken_losses_are_refused(broken: np.ndarray) -> None:
    with pytest.raises(UserError, match="finite losses"):
        bootstrap_choice(broken)


def test_the_question_tells_it_in_a_sentence() -> None:
    case = full_case()
    row = question.ask(case)[0]
    about = row.provenance
    assert (row.arm, row.split, about["candidates"]) == ("concat", "selection", 2)
    assert about["corrected"] - about["apparent"] == pytest.approx(row.value)
    assert about["at_most"] == pytest.approx(expected_maximum(2) * about["at_most"] / about["expected_maximum_in_se"])
    assert "best of 2 candidates" in about["sentence"] and "had no part" in about["sentence"]
    flattered = question.ask(changed(case, chosen_on_judged=True))[0]
    assert "judged rows themselves" in flattered.provenance["sentence"]
    assert question.ask(changed(case, selection_losses={"all": {"concat": np.ones(9)}})) == []


def test_each_fold_chooses_for_itself() -> None:
    case = full_case()
    losses = dict(case.selection_losses["all"])
    row = question.ask(changed(case, selection_losses={"f0": losses, "f1": {name: losses[name] for name in losses}}))[0]
    assert set(row.provenance["per_run"]) == {"f0", "f1"}
