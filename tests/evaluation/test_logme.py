from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import multivariate_normal

from transfuse.errors import UserError
from transfuse.evaluation.material import Material, together, value
from transfuse.evaluation.probes import band
from transfuse.evaluation.probes.logme_fit import GramSide, KernelSide, best
from transfuse.evaluation.probes.moments import Moments
from transfuse.types import Undefined

TOLD = 1e-8
DECAYS = {
    "fast": lambda size, rng: np.exp(-rng.uniform(0, 16) * np.linspace(0, 1, size)),
    "ties": lambda size, rng: np.repeat(rng.uniform(0.1, 10, size), 7)[:size],
    "plain": lambda size, rng: rng.exponential(size=size),
    "lacking": lambda size, rng: np.where(np.arange(size) < max(1, size // 2), rng.uniform(1, 100, size), 0.0),
}


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


# -- the search --------------------------------------------------------------------------------------------------------


def density(values: np.ndarray, parts: np.ndarray, count: float, rows: int, place: float) -> float:
    """L at log t in the basis of eigenvectors, in extended precision: eigenvalues [D], the class's sums in it [D]."""
    t, wide = np.exp(np.longdouble(place)), values.astype(np.longdouble)
    q = count - (parts.astype(np.longdouble) ** 2 / (t + wide)).sum()
    return float(-0.5 * np.log(2 * np.pi * q / rows) - 0.5 - np.log1p(wide / t).sum() / (2 * rows))


def highest(values: np.ndarray, parts: np.ndarray, count: float, rows: int) -> float:
    """The highest L of a fine grid, refined."""
    centre = np.log(values.max())
    grid = np.arange(centre - 34, centre + 34, 0.5)
    place = grid[np.argmax([density(values, parts, count, rows, each) for each in grid])]
    found = minimize_scalar(
        lambda each: -density(values, parts, count, rows, each),
        bounds=(place - 0.5, place + 0.5),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return -found.fun


def turned_away(kind: str, size: int, seed: int) -> tuple[Moments, np.ndarray, np.ndarray]:
    """Moments with known eigenvalues and sums of three classes in that basis, told in another one."""
    rng = np.random.default_rng([seed, size])
    values = DECAYS[kind](size, rng) * 10.0 ** rng.uniform(-6, 6)
    rows = size + int(rng.integers(3, 400))
    counts = rng.integers(1, rows, 3).astype(float)
    parts = rng.normal(size=(size, 3)) * np.exp(-rng.uniform(-2, 4) * np.linspace(0, 1, size))[:, None]
    parts *= np.sqrt(rng.uniform(0, 1, 3) ** 2 * counts / (parts**2).sum(axis=0)) * np.sqrt(values)[:, None]
    turn = np.linalg.qr(rng.normal(size=(size, size)))[0]
    gram = (turn * values) @ turn.T
    found = Moments(np.zeros(size), (gram + gram.T) / 2, turn @ parts, counts, rows, size)
    return found, values, parts


@pytest.mark.parametrize("large", [0, 10_000], ids=["band", "tridiagonal"])
@settings(max_examples=25, deadline=None)
@given(kind=st.sampled_from(sorted(DECAYS)), size=st.integers(1, 170), seed=st.integers(0, 10_000))
def test_the_greatest_density_in_extended_precision(large: int, kind: str, size: int, seed: int) -> None:
    """Fast decays, ties, rank lacking, twelve orders of scale: the highest of all peaks."""
    found, values, parts = turned_away(kind, size, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(band, "LARGE", large)
        levels = best(GramSide(found, [0, 1, 2]))
    for number, level in enumerate(levels):
        assert level == pytest.approx(highest(values, parts[:, number], found.counts[number], found.rows), abs=TOLD)


def test_forty_digits() -> None:
    """Eigenvalues and the stationary point in 40 digits."""
    import mpmath

    one = noisy(18, 3, classes=2)
    with mpmath.workdps(40):
        values, vectors = mpmath.eigsy(mpmath.matrix((one.features @ one.features.T).tolist()))
        expected = []
        for number in range(2):
            parts = vectors.T * mpmath.matrix((one.targets == number).astype(float).tolist())

            def level(place: mpmath.mpf, parts: mpmath.matrix = parts) -> mpmath.mpf:
                t = mpmath.exp(place)
                q = sum(parts[row] ** 2 * t / (t + values[row]) for row in range(18))
                logs = sum(mpmath.log(1 + values[row] / t) for row in range(18))
                return -mpmath.log(2 * mpmath.pi * q / 18) / 2 - 0.5 - logs / 36

            grid = [level(mpmath.mpf(step)) for step in range(-8, 12)]
            top = mpmath.findroot(lambda place: mpmath.diff(level, place), grid.index(max(grid)) - 8)
            expected.append(level(top))
        assert value("logme", one) == pytest.approx(float(sum(expected) / 2), abs=1e-9)


def test_of_peaks_far_apart_the_highest_is_taken() -> None:
    """Directions eight orders apart: a class in a weak one has a peak there, and one at noise alone."""
    values, rows = np.array([1e6, 1.0, 1e-2]), 400
    parts = np.diag(np.sqrt(values * np.array([0.999999, 0.6, 0.3]) * 100.0))
    found = Moments(np.zeros(3), np.diag(values), parts, np.full(3, 100.0), rows, 3)
    expected = [highest(values, parts[:, number], 100.0, rows) for number in range(3)]
    np.testing.assert_allclose(best(GramSide(found, [0, 1, 2])), expected, atol=TOLD)


@pytest.mark.parametrize(("rows", "width"), [(60, 7), (30, 50)])
def test_the_scale_of_the_features_and_the_form_change_nothing(
    rows: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = noisy(rows, width)
    expected = value("logme", one)
    for factor in (1e-100, 1e-6, 1e6, 1e60):
        found = value("logme", Material(one.features * factor, one.targets, 3))
        assert found == pytest.approx(expected, abs=1e-10)
    monkeypatch.setattr(band, "LARGE", 0)
    assert value("logme", one) == pytest.approx(expected, abs=1e-12)


def test_told_classes_have_no_bound_and_untold_ones_end_at_the_spread_of_labels() -> None:
    """A column that is a class's indicator; a kernel of full rank explains all and has a bound all the same."""
    targets = np.arange(40) % 4
    rng = np.random.default_rng(0)
    told = np.column_stack([targets == 0, rng.normal(size=(40, 3))]).astype(float)
    found = value("logme", Material(told, targets, 4))
    assert isinstance(found, Undefined) and "tell 1 classes exactly" in found.reason
    twice = np.concatenate([np.eye(4)[targets], np.zeros((40, 60))], axis=1)
    assert isinstance(value("logme", Material(twice, targets, 4)), Undefined)
    kernel = np.diag(np.linspace(1.0, 3.0, 40))
    side = KernelSide(kernel, targets, [0, 1, 2, 3])
    assert side.bounded and np.isfinite(best(side)).all()
    # Features at right angles to the class: the more noise they are taken for, the better.
    flat = GramSide(Moments(np.zeros(2), np.eye(2), np.zeros((2, 1)), np.array([10.0]), 40, 2), [0])
    assert best(flat)[0] == pytest.approx(-0.5 * np.log(2 * np.pi / 4) - 0.5, abs=1e-9)


def test_features_whose_squares_are_beyond_numbers_are_refused() -> None:
    one = noisy(30, 4)
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(UserError, match="cannot be scored"):
        value("logme", Material(one.features * 1e160, one.targets, 3))
