from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.full_case import full_case
from evaluation.judged import changed
from transfuse.errors import UserError
from transfuse.evaluation.questions import selective as question
from transfuse.evaluation.statistics.selective import area, curve, excess_area, rank, risk_at
from transfuse.types import Task


def naive_risks(losses: list[float]) -> list[float]:
    return [float(np.mean(losses[:kept])) for kept in range(1, len(losses) + 1)]


def naive_area(confidence: np.ndarray, losses: np.ndarray) -> float:
    """Every item against every other, without ties."""
    return float(np.mean([losses[confidence >= own].mean() for own in confidence]))


@given(st.integers(0, 10_000), st.integers(1, 60))
@settings(deadline=None, max_examples=25)
def test_area_is_the_mean_risk_over_all_coverages(seed: int, items: int) -> None:
    rng = np.random.default_rng(seed)
    confidence, losses = rng.permutation(items) / items, (rng.random(items) < 0.3).astype(float)
    ranking = rank(confidence, losses)
    assert area(ranking).mean() == pytest.approx(naive_area(confidence, losses))
    for coverage in (0.3, 0.8, 1.0):
        kept = int(np.ceil(coverage * items - 1e-9))
        expected = losses[np.argsort(-confidence)][:kept].mean()
        assert risk_at(ranking, coverage).mean() == pytest.approx(expected)


def test_ties_count_as_the_mean_over_all_their_orders() -> None:
    confidence, losses = np.array([0.9, 0.7, 0.7, 0.7, 0.2]), np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    orders = [naive_risks([0.0, *middle, 1.0]) for middle in permutations([1.0, 0.0, 1.0])]
    expected = np.mean(orders, axis=0)
    ranking = rank(confidence, losses)
    assert ranking.risks == pytest.approx(expected)
    assert area(ranking).mean() == pytest.approx(expected.mean())
    assert risk_at(ranking, 0.6).mean() == pytest.approx(expected[2])


def test_the_order_of_items_is_irrelevant() -> None:
    rng = np.random.default_rng(0)
    confidence, losses = np.round(rng.random(40), 1), (rng.random(40) < 0.3).astype(float)
    order = rng.permutation(40)
    for law in (area, excess_area, lambda each: risk_at(each, 0.8)):
        assert law(rank(confidence, losses))[order] == pytest.approx(law(rank(confidence[order], losses[order])))


def test_a_confidence_that_puts_errors_last_has_no_excess() -> None:
    losses = np.array([0.0, 0.0, 0.0, 1.0, 1.0])
    best = rank(np.array([0.9, 0.8, 0.7, 0.3, 0.2]), losses)
    assert excess_area(best).mean() == pytest.approx(0.0, abs=1e-15)
    assert area(best).mean() == pytest.approx((1 / 4 + 2 / 5) / 5)
    worst = rank(np.array([0.2, 0.3, 0.7, 0.8, 0.9]), losses)
    assert excess_area(worst).mean() == pytest.approx(naive_area(np.arange(5.0), losses) - (1 / 4 + 2 / 5) / 5)
    for only in (0.0, 1.0):
        assert excess_area(rank(np.arange(4.0), np.full(4, only))).mean() == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("law", [area, excess_area, lambda each: risk_at(each, 0.8)], ids=["aurc", "e_aurc", "risk"])
def test_item_values_spread_as_resamples_do(law: object) -> None:
    rng = np.random.default_rng(1)
    confidence = rng.random(600)
    losses = (rng.random(600) > 0.4 + 0.6 * confidence).astype(float)
    drawn = []
    for _ in range(300):
        rows = rng.integers(0, 600, 600)
        drawn.append(law(rank(confidence[rows], losses[rows])).mean())  # pyright: ignore[reportCallIssue]
    own = law(rank(confidence, losses)).std() / 600**0.5  # pyright: ignore[reportCallIssue]
    assert own == pytest.approx(np.std(drawn), rel=0.2)


def test_the_curve_is_short_and_ends_at_the_error() -> None:
    rng = np.random.default_rng(2)
    losses = (rng.random(1234) < 0.2).astype(float)
    coverage, risk = curve(rank(rng.random(1234), losses), 50)
    assert len(coverage) == 50 and coverage[-1] == 1.0 and risk[-1] == pytest.approx(losses.mean())
    assert len(curve(rank(np.arange(7.0), losses[:7]), 50)[0]) == 7


def test_broken_input_is_refused() -> None:
    with pytest.raises(UserError, match="one number an item"):
        rank(np.ones(3), np.ones(4))
    with pytest.raises(UserError, match="coverage"):
        risk_at(rank(np.ones(3), np.ones(3)), 0.0)


def test_the_question_asks_the_chief_arms_only() -> None:
    case = full_case()
    rows = question.ask(case)
    assert {row.arm for row in rows} == {"concat", "frozen/a", "ensemble"}
    assert len({row.id for row in rows}) == len(rows) == 3 * 5
    found = next(row for row in rows if row.quantity == "aurc" and row.arm == "concat")
    drawn = found.provenance["curve"]
    assert len(drawn["coverage"]) == len(drawn["risk"]) <= 50
    table = case.tables["concat"]
    each = [
        naive_area(run.max(axis=1), (run.argmax(axis=1) != case.items.targets).astype(float)) for run in table.probs
    ]
    assert found.value == pytest.approx(np.mean(each))
    assert {row.provenance["coverage"] for row in rows if row.quantity == "risk_at_coverage"} == {0.8, 0.9, 0.95}
    assert question.ask(changed(case, task=Task("regression", (), "loss", ()))) == []
