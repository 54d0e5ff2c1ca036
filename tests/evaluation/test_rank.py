from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from evaluation.full_case import full_case
from evaluation.judged import changed
from transfuse.errors import UserError
from transfuse.evaluation.questions import outside as outside_question
from transfuse.evaluation.questions import ranking
from transfuse.evaluation.statistics.rank import auroc
from transfuse.evaluation.tables import Table
from transfuse.types import Task


def scores(seed: int, m: int = 40, n: int = 30, digits: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(0.7, 1, m), digits), np.round(rng.normal(0, 1, n), digits)


@given(st.integers(0, 300), st.integers(1, 25), st.integers(1, 25), st.integers(0, 2))
@settings(deadline=None, max_examples=40)
def test_placements_give_the_kernel_sum_of_all_pairs(seed: int, m: int, n: int, digits: int) -> None:
    """DeLong's definition: ψ = 1, ½ or 0 over all pairs, placements its row and column means."""
    ours, theirs = scores(seed, m, n, digits)
    kernel = (ours[:, None] > theirs) + 0.5 * (ours[:, None] == theirs)
    found = auroc(ours, theirs)
    assert found.value == pytest.approx(kernel.mean())
    np.testing.assert_allclose(found.inside, kernel.mean(axis=1) - kernel.mean(), atol=1e-12)
    np.testing.assert_allclose(found.outside, kernel.mean(axis=0) - kernel.mean(), atol=1e-12)
    assert found.value == pytest.approx(stats.mannwhitneyu(ours, theirs).statistic / (m * n))


def test_the_paired_variance_is_delongs_matrix_form() -> None:
    """L S Lᵀ of the covariance S = S₁₀ / m + S₀₁ / n of two areas, with the contrast L = (1, −1)."""
    rng = np.random.default_rng(0)
    truth = np.repeat([1, 0], [50, 70])
    hidden = rng.normal(size=120) + truth
    first, second = hidden + 0.5 * rng.normal(size=120), hidden + rng.normal(size=120)
    arms = [auroc(each[:50], each[50:]) for each in (first, second)]
    s10 = np.cov(np.stack([arm.inside for arm in arms]))
    s01 = np.cov(np.stack([arm.outside for arm in arms]))
    contrast = np.array([1.0, -1.0])
    expected = contrast @ (s10 / 50 + s01 / 70) @ contrast
    both = arms[0].minus(arms[1])
    assert both.se**2 == pytest.approx(expected)
    assert both.value == pytest.approx(roc_auc_score(truth, first) - roc_auc_score(truth, second))
    assert both.se < (arms[0].se ** 2 + arms[1].se ** 2) ** 0.5


def test_perfect_constant_and_empty() -> None:
    perfect = auroc(np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    assert (perfect.value, perfect.se) == (1.0, 0.0)
    assert auroc(np.ones(4), np.ones(3)).value == 0.5
    with pytest.raises(UserError, match="both kinds"):
        auroc(np.ones(3), np.ones(0))


def test_the_spread_is_that_of_repeated_samples() -> None:
    values, errors = [], []
    for seed in range(300):
        found = auroc(*scores(seed, 60, 60, 6))
        values.append(found.value)
        errors.append(found.se)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.1)


def test_one_class_against_the_rest_is_scikit_learns_macro_mean() -> None:
    case = full_case(runs=1)
    rows = {(row.arm, row.versus): row for row in ranking.ask(case)}
    for name in ("concat", "frozen/a"):
        table = case.tables[name]
        expected = roc_auc_score(case.items.targets, table.probs[0], multi_class="ovr", average="macro")
        assert rows[name, None].value == pytest.approx(expected)
    both = rows["concat", "frozen/a"]
    assert both.value == pytest.approx(rows["concat", None].value - rows["frozen/a", None].value)
    assert both.low is not None and both.p is not None and both.low < both.value < both.high


def binary(case: object, count: int = 240) -> Table:
    rng = np.random.default_rng(1)
    high = rng.random((1, count))
    return Table("concat", case.items, np.stack([1 - high, high], axis=2), ("s0",))  # pyright: ignore


def test_two_classes_have_one_area_with_delongs_error() -> None:
    case = full_case(runs=1)
    targets = (case.items.targets > 1).astype(int)
    table = binary(case)
    values = ranking.contributions(targets, table.probs, (1,))
    high = table.probs[0, :, 1]
    exact = auroc(high[targets == 1], high[targets == 0])
    assert values.mean() == pytest.approx(exact.value)
    assert values[0].std(ddof=1) / len(targets) ** 0.5 == pytest.approx(exact.se, rel=0.01)
    assert ranking.ranked_classes(targets, 2) == (1,)
    assert ranking.ranked_classes(np.zeros(5, dtype=int), 2) == ()


def test_absent_classes_and_other_tasks_are_left_out() -> None:
    assert ranking.ranked_classes(np.array([0, 0, 2, 2, 2]), 4) == (0, 2)
    assert ranking.ranked_classes(np.zeros(5, dtype=int), 4) == ()
    assert ranking.ask(changed(full_case(), task=Task("regression", (), "loss", ()))) == []


def test_outside_sets_are_told_apart_in_pairs() -> None:
    case = full_case()
    asked = [row for row in outside_question.ask(case) if row.quantity == "ood_auroc"]
    rows = [row for row in asked if row.versus == "frozen/a"]
    assert {row.provenance["score"] for row in rows} == {"max_probability", "entropy", "energy", "max_logit"}
    levels = {(row.arm, row.provenance["score"]): row.value for row in asked if not row.versus}
    for row in rows:
        score = row.provenance["score"]
        assert row.value == pytest.approx(levels["concat", score] - levels["frozen/a", score])
        assert row.low is not None and row.low <= row.value <= row.high and row.p is not None
