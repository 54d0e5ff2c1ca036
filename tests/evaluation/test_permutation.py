from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evaluation.judged import case, changed
from transfuse.errors import UserError
from transfuse.evaluation.questions import permutation as question
from transfuse.evaluation.statistics.permutation import Family, family, max_t, sign_flip, sign_flips
from transfuse.evaluation.statistics.power import holm
from transfuse.evaluation.statistics.resample import Interval, moments
from transfuse.evaluation.verdict import judge


@given(st.integers(0, 400), st.integers(2, 9))
@settings(deadline=None, max_examples=20)
def test_exact_sign_flips_are_scipys(seed: int, count: int) -> None:
    values = np.random.default_rng(seed).normal(0.4, 1.0, count)
    expected = stats.permutation_test(
        (values,),
        lambda rows, axis: rows.mean(axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    )
    found = sign_flip(values)
    # scipy doubles the smaller tail; with symmetric signs that is the share of |mean| as large.
    assert found.p == pytest.approx(expected.pvalue) and found.exact


SMALLEST = [(1, 1.0), (3, 0.25), (5, 0.0625), (6, 0.03125), (8, 0.0078125), (10, 2 / 1024)]


@pytest.mark.parametrize(("count", "smallest"), SMALLEST)
def test_the_smallest_p_within_reach(count: int, smallest: float) -> None:
    """The table of the smallest p: five seeds can never reach 0.05."""
    found = sign_flip(np.full(count, 0.3))
    assert (found.p, found.smallest) == (pytest.approx(smallest), pytest.approx(smallest))


def test_many_units_are_drawn_and_agree_with_the_t_test() -> None:
    values = np.random.default_rng(0).normal(0.1, 1.0, 400)
    found = sign_flip(values)
    assert not found.exact and found.smallest == 1 / 5000
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue, abs=0.02)
    assert sign_flip(values) == found
    assert [each.p for each in sign_flips(np.stack([values, -values, 0 * values]))] == [found.p, found.p, 1.0]


def test_groups_keep_one_sign() -> None:
    values = np.random.default_rng(1).normal(0.5, 1.0, 6)
    copies = np.repeat(values, 4)
    assert sign_flip(copies, np.repeat(np.arange(6), 4)).p == sign_flip(values).p
    assert sign_flip(copies).p < sign_flip(values).p


def test_broken_differences_are_refused() -> None:
    for values in (np.array([]), np.array([np.nan, 1.0]), np.ones((2, 3))):
        with pytest.raises(UserError, match="finite differences"):
            sign_flip(values)


def independent(t: list[float]) -> Family:
    return Family(np.array(t), np.full(len(t), 1e6), np.eye(len(t)))


def test_max_t_of_one_comparison_is_its_own_p() -> None:
    found = max_t(Family(np.array([2.2]), np.array([7.0]), np.array([[0.04]])), draws=100_000)
    assert found[0] == pytest.approx(2 * stats.t.sf(2.2, 7), abs=0.003)


def test_max_t_of_independent_comparisons_is_sidak_step_down() -> None:
    t = [2.5, 2.1, -1.0]
    p = 2 * stats.norm.sf(np.abs(t))
    steps = [1 - (1 - p[0]) ** 3, 1 - (1 - p[1]) ** 2, p[2]]
    assert max_t(independent(t), draws=200_000) == pytest.approx(steps, abs=0.004)


def test_max_t_of_copies_is_one_test_where_holm_pays_for_all() -> None:
    copies = Family(np.full(4, 2.2), np.full(4, 1e6), np.ones((4, 4)))
    raw = 2 * stats.norm.sf(2.2)
    assert max_t(copies, draws=100_000) == pytest.approx([raw] * 4, abs=0.005)
    assert holm([raw] * 4)[0] == pytest.approx(4 * raw)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.integers(0, 50))
@settings(deadline=None, max_examples=30)
def test_max_t_is_monotone_and_never_below_raw(t: list[float], seed: int) -> None:
    mixing = np.random.default_rng(seed).normal(size=(len(t), len(t)))
    spread = mixing @ mixing.T + 0.1 * np.eye(len(t))
    found = np.array(max_t(Family(np.array(t), np.full(len(t), 30.0), spread), draws=4000))
    raw = 2 * stats.t.sf(np.abs(t), 30)
    assert (found >= raw - 0.04).all() and (found <= 1).all()
    order = np.argsort(-np.abs(t), kind="stable")
    assert (np.diff(found[order]) >= -1e-12).all()


def test_the_family_has_the_moments_of_each_comparison() -> None:
    rng = np.random.default_rng(3)
    gaps = [0.2 + rng.normal(size=80) + 0.3 * rng.normal(size=(4, 1)) + rng.normal(size=(4, 80)) for _ in range(3)]
    groups = np.arange(80) // 2
    for named in (None, groups):
        found = family(gaps, named)
        for place, each in enumerate(gaps):
            alone = moments(each, named)
            assert isinstance(alone, Interval)
            assert found.spread[place, place] == pytest.approx(alone.se**2)
            assert (found.t[place], found.df[place]) == pytest.approx((alone.mean / alone.se, alone.df))
    assert family([np.zeros((1, 9)), np.ones((1, 9))]).t.tolist() == [0.0, 0.0]


def test_max_t_agrees_with_flipping_the_signs_of_items() -> None:
    """Westfall and Young by permutation: the same signs for all comparisons, studentised, step by step."""
    rng = np.random.default_rng(4)
    shared = rng.normal(size=150)
    gaps = [shared + 0.5 * rng.normal(size=150) + gain for gain in (0.2, 0.1, 0.0)]
    found = family([each[None] for each in gaps])
    stacked, squares = np.stack(gaps, axis=1), np.stack(gaps, axis=1) ** 2
    flipped = (1 - 2 * rng.integers(0, 2, (4000, 150))) @ stacked / 150
    t = np.abs(flipped / np.sqrt((squares.mean(axis=0) - flipped**2) / 149))
    order = np.argsort(np.abs(found.t))
    largest = np.maximum.accumulate(t[:, order], axis=1)
    p = (largest >= np.abs(found.t)[order]).mean(axis=0)
    expected = np.empty(3)
    expected[order] = np.maximum.accumulate(p[::-1])[::-1]
    assert max_t(found) == pytest.approx(expected, abs=0.03)


def test_all_pairs_carry_max_t_beside_holm_and_it_is_the_milder() -> None:
    one = case(runs=3)
    names = ("concat", "ensemble", "frozen/lite0", "copies")
    pairs = tuple((first, second) for place, first in enumerate(names) for second in names[place + 1 :])
    rows = judge(changed(one, comparisons=pairs)).evidence
    rows = [row for row in rows if (row.arm, row.versus) in pairs and row.quantity == "log_loss"]
    assert len(rows) == 6
    for row in rows:
        assert row.p is not None and row.adjusted is not None
        assert row.provenance["max_t"] <= row.adjusted + 0.01
        assert row.provenance["max_t"] >= row.p - 0.01
    alone = [row for row in judge(one).evidence if row.versus and row.quantity == "log_loss"]
    assert all("max_t" not in row.provenance for row in alone)


def test_the_question_tells_the_smallest_p() -> None:
    rows = {(row.quantity, row.versus): row for row in question.ask(case(runs=3))}
    over_runs = rows["sign_flip_runs", "frozen/lite0"]
    assert over_runs.value == 0.25 == over_runs.provenance["smallest_p"]
    assert "can show nothing at 5 %" in over_runs.provenance["note"]
    over_items = rows["sign_flip_items", "frozen/lite0"]
    assert over_items.value == over_items.p == pytest.approx(1 / 5000) and "note" not in over_items.provenance
    single = question.ask(case(runs=1))
    assert {row.quantity for row in single} == {"sign_flip_items"}
