"""Near-identical training rows: found where they were planted, by chance no more often than is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.neighbors import NearestNeighbors

from transfuse.evaluation import nearest as law
from transfuse.evaluation.nearest import Nearest, nearest, neighbours, scaled
from transfuse.types import Undefined

TRAIN, JUDGED = 400, 300


def found(block: np.ndarray, train: int = TRAIN, rate: float = law.RATE, groups: np.ndarray | None = None) -> Nearest:
    """The first rows train, the others are judged."""
    rows = np.arange(len(block))
    made = nearest(lambda these: block[these], rows[:train], rows[train:], rows if groups is None else groups, rate)
    assert isinstance(made, Nearest)
    return made


def rows_of(kind: str, rng: np.random.Generator, count: int) -> np.ndarray:
    """Independent rows: one cloud, classes of unlike width and dimension behind a ReLU, and skewed columns."""
    if kind == "cloud":
        return rng.normal(size=(count, 12))
    if kind == "plane":
        return rng.uniform(size=(count, 2)) @ rng.normal(size=(2, 30))
    label = rng.integers(0, 6, count)
    turns = rng.normal(size=(6, 12, 40)) * (np.arange(12)[:, None] < 3 + 2 * np.arange(6)[:, None, None])
    spread = 0.3 + rng.uniform(0, 1, 6)[label][:, None, None]
    return np.maximum(
        rng.normal(size=(6, 40))[label] + (rng.normal(size=(count, 1, 12)) * spread @ turns[label])[:, 0], 0
    )


@pytest.mark.parametrize("kind", ["cloud", "plane"])
def test_independent_rows_are_called_so_no_more_often_than_is_said(kind):
    rng, count, times = np.random.default_rng(1), 0, 3
    for _ in range(times):
        made = found(rows_of(kind, rng, 1500), 700, rate=0.01)
        count += int((made.ratio <= made.limit.ratio).sum())
    assert count <= stats.binom.ppf(0.999, times * 800, 0.01)


def test_classes_of_unlike_dimension_raise_false_finds_to_a_few_percent():
    """One dimension is read for all; where classes have 3 to 12 the flat ones are called near too often, as is said."""
    made = found(rows_of("classes", np.random.default_rng(1), 1500), 700)
    assert law.RATE < (made.ratio <= made.limit.ratio).mean() < 0.04


@pytest.mark.parametrize("kind", ["cloud", "classes"])
def test_planted_copies_are_found_with_what_they_copy(kind):
    rng = np.random.default_rng(2)
    block = rows_of(kind, rng, TRAIN + JUDGED)
    copied = rng.choice(TRAIN, 60, replace=False)
    block[TRAIN : TRAIN + 60] = block[copied] + 0.02 * block.std(axis=0) * rng.normal(size=(60, block.shape[1]))
    made = found(block)
    close = made.ratio <= made.limit.ratio
    assert close[:60].mean() > 0.95 and close[60:].mean() < 0.05
    np.testing.assert_array_equal(made.other[:60][close[:60]], copied[close[:60]])


def test_bursts_on_both_sides_do_not_hide_themselves():
    """A third of all rows come in fours, so training rows have copies among them too."""
    rng = np.random.default_rng(3)
    lone, seeds = rng.normal(size=(600, 12)), rng.normal(size=(75, 12))
    block = np.vstack([lone, np.repeat(seeds, 4, axis=0) + 0.02 * rng.normal(size=(300, 12))])
    burst = np.repeat([False, True], [600, 300])
    order = rng.permutation(900)
    made = found(block[order], 600)
    train, judged = order[:600], order[600:]
    known = burst[judged] & np.isin((judged - 600) // 4, (train[burst[train]] - 600) // 4)
    close = made.ratio <= made.limit.ratio
    assert close[known].mean() > 0.95 and not close[~known].any()
    assert made.own == pytest.approx(burst[train].mean(), abs=0.08)


def test_the_share_of_the_ball_is_a_beta_law_and_the_dimension_is_read_from_the_median():
    rates = np.array([0.0001, 0.001, 0.01, 0.5])
    np.testing.assert_allclose([law._quantile(rate) for rate in rates], stats.beta(1, law.TENTH - 1).ppf(rates), 1e-12)
    for wide in (1, 3):
        limit = found(np.random.default_rng(wide).uniform(size=(2500, wide)), 2000).limit
        assert limit.dimension == pytest.approx(wide, rel=0.15)
        assert limit.ratio == pytest.approx(stats.beta(1, 9).ppf(law.RATE) ** (1 / limit.dimension))


def test_neighbours_are_scikit_learns_in_any_blocks(monkeypatch):
    rng = np.random.default_rng(4)
    block = rng.normal(size=(300, 6)) * [1, 10, 1e3, 1, 1, 1] + [0, 5, -1e4, 0, 0, 0]
    ones, others = np.arange(200, 300), np.arange(200)
    scale = scaled(lambda rows: block[rows], others)
    whole = neighbours(lambda rows: block[rows], ones, others, scale, np.arange(300))
    oracle = NearestNeighbors(n_neighbors=10).fit((block[:200] - block[:200].mean(0)) / block[:200].std(0))
    distances, places = oracle.kneighbors((block[200:] - block[:200].mean(0)) / block[:200].std(0))
    np.testing.assert_allclose(whole[0], distances, rtol=1e-9)
    np.testing.assert_array_equal(whole[1], places)
    monkeypatch.setattr(law, "BLOCK", 7)
    monkeypatch.setattr(law, "OTHERS", 13)
    parts = neighbours(lambda rows: block[rows], ones, others, scale, np.arange(300))
    np.testing.assert_array_equal(whole[1], parts[1])
    np.testing.assert_array_equal(whole[0], parts[0])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(-50, 50))
def test_units_and_the_order_of_rows_mean_nothing(seed, factor, shift):
    rng = np.random.default_rng(seed)
    block = rng.normal(size=(110, 5))
    plain = found(block, 80)
    other = found(block * (factor * rng.uniform(0.5, 2, 5)) + shift, 80)
    np.testing.assert_allclose(other.ratio, plain.ratio, rtol=1e-5)
    order = np.concatenate([rng.permutation(80), 80 + rng.permutation(30)])
    turned = found(block[order], 80)
    np.testing.assert_allclose(turned.ratio, plain.ratio[order[80:] - 80], rtol=1e-9)
    assert turned.limit.ratio == pytest.approx(plain.limit.ratio, rel=1e-9)


def test_rows_of_a_group_tell_nothing_of_rows_of_other_groups():
    """Twelve slices a patient: within a group all are near, and a judged row has none of its own group."""
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(60), 12)
    block = rng.normal(size=(60, 8))[groups] + 0.1 * rng.normal(size=(720, 8))
    apart = found(block, 480, groups=groups)
    assert (apart.ratio <= apart.limit.ratio).mean() < 0.02
    assert apart.own < 0.02


CONSTANT, TWINS = np.ones((100, 3)), np.repeat(np.arange(10.0), 40).reshape(-1, 1)


@pytest.mark.parametrize(
    ("block", "train", "reason"),
    [
        (np.random.default_rng(0).normal(size=(60, 3)), 49, "at least 50 training rows, got 49"),
        (CONSTANT, 80, "the same features"),
        (np.random.default_rng(0).permutation(TWINS), 300, "equals among them"),
        (np.eye(100), 80, "equally far"),
    ],
)
def test_what_cannot_be_said_says_why(block, train, reason):
    rows = np.arange(len(block))
    made = nearest(lambda these: block[these], rows[:train], rows[train:], rows)
    assert isinstance(made, Undefined) and reason in made.reason


def test_too_many_pairs_are_not_begun(monkeypatch):
    monkeypatch.setattr(law, "MOST_PRODUCTS", 1000)
    block, rows = np.random.default_rng(0).normal(size=(100, 3)), np.arange(100)
    made = nearest(lambda these: block[these], rows[:80], rows[80:], rows)
    assert made == Undefined("too many pairs: 20 judged and 80 training rows, 3 columns")


def test_a_row_with_ten_equals_is_not_judged_and_one_with_a_single_equal_is_near():
    rng = np.random.default_rng(6)
    block = rng.normal(size=(120, 4))
    block[:10] = block[0]
    block[110], block[111] = block[0], block[50]
    made = found(block, 110)
    assert np.isnan(made.ratio[0]) and made.ratio[1] == 0.0 and made.other[1] == 50
