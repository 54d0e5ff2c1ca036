from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from transfuse.evaluation.material import Material, together, value
from transfuse.types import Undefined

TOLD = 1e-8


def noisy(rows: int, width: int, classes: int = 3, seed: int = 0, skill: float = 1.0) -> Material:
    rng = np.random.default_rng([seed, rows, width])
    targets = rng.permutation(np.arange(rows) % classes)
    features = rng.normal(size=(rows, width)) + skill * rng.normal(size=(classes, width))[targets] + 0.5
    return Material(features, targets, classes)


def oracle(one: Material, number: int) -> float:
    """The greatest multivariate-normal log-density per row of one class over both variances, by a simplex search."""
    indicator = (one.targets == number).astype(float)
    kernel, rows = one.features @ one.features.T, len(one.targets)

    def loss(logs: np.ndarray) -> float:
        covariance = np.eye(rows) * np.exp(logs[0]) + kernel * np.exp(logs[1])
        return -float(multivariate_normal(np.zeros(rows), covariance).logpdf(indicator)) / rows

    options = {"xatol": 1e-9, "fatol": 1e-14, "maxiter": 4000}
    return -minimize(loss, [0.0, 0.0], method="Nelder-Mead", options=options).fun


@pytest.mark.parametrize(("rows", "width"), [(36, 8), (25, 25), (16, 40)])
def test_the_exact_oracle_for_more_and_for_fewer_rows_than_columns(rows: int, width: int) -> None:
    one = noisy(rows, width)
    assert value("logme", one) == pytest.approx(np.mean([oracle(one, number) for number in range(3)]), abs=TOLD)


def test_the_published_default_is_right_for_full_rank_only() -> None:
    full, few = noisy(400, 20), noisy(30, 80)
    assert value("logme", full, {"compat": "thuml"}) == pytest.approx(value("logme", full), abs=5e-6)
    exact, published = value("logme", few), value("logme", few, {"compat": "thuml"})
    assert isinstance(exact, float) and isinstance(published, float)
    assert abs(published - exact) > 1.0
    assert value("logme", few, {"compat": "icml"}) == pytest.approx(exact, abs=0.3)


@settings(max_examples=6, deadline=None)
@given(rows=st.integers(12, 40), width=st.integers(1, 50), seed=st.integers(0, 20))
def test_rotations_and_the_order_of_rows_change_nothing(rows: int, width: int, seed: int) -> None:
    one, rng = noisy(rows, width, seed=seed), np.random.default_rng(seed)
    turn, order = np.linalg.qr(rng.normal(size=(width, width)))[0], rng.permutation(rows)
    other = Material((one.features @ turn)[order], one.targets[order], 3)
    first, second = value("logme", one), value("logme", other)
    assert isinstance(first, Undefined) == isinstance(second, Undefined)
    assert isinstance(first, Undefined) or second == pytest.approx(first, abs=1e-7)


def test_columns_of_zeros_and_absent_classes_change_nothing() -> None:
    one = noisy(50, 10)
    wider = Material(np.column_stack([one.features, np.zeros((50, 7))]), one.targets, 3)
    assert value("logme", wider) == pytest.approx(value("logme", one), abs=1e-9)
    more = Material(one.features, one.targets * 2, 9)
    assert value("logme", more) == pytest.approx(value("logme", one), abs=1e-12)


def test_a_set_is_its_features_side_by_side_and_noise_alone_is_the_spread_of_labels() -> None:
    first, second = noisy(60, 6), noisy(60, 9, seed=1)
    second = Material(second.features, first.targets, 3)
    block = np.concatenate([first.features, second.features], axis=1)
    expected = value("logme", Material(block, first.targets, 3))
    assert together("logme", [first, second]) == pytest.approx(expected, abs=1e-12)
    nothing = value("logme", Material(np.zeros((60, 4)), first.targets, 3))
    assert nothing == pytest.approx(-0.5 * np.log(2 * np.pi / 3) - 0.5, abs=1e-12)
