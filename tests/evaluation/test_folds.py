from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from evaluation.judged import case, changed, items, judged
from transfuse.errors import UserError
from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import restricted
from transfuse.evaluation.claims import comparison_rows
from transfuse.evaluation.measure import compare
from transfuse.evaluation.metric import metric
from transfuse.evaluation.questions import folds as question
from transfuse.evaluation.statistics.folds import FoldMeans, corrected, fold_means, rope
from transfuse.evaluation.statistics.resample import Interval
from transfuse.evaluation.verdict import judge
from transfuse.evaluation.words import sentence
from transfuse.types import Undefined


def dealt(repeats: int, count: int, folds: int = 5, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(np.arange(count) % folds) for _ in range(repeats)])


def repeated(one: Case, repeats: int, seed: int = 0) -> Case:
    """The case as repeats of cross-fitting in the same folds for all arms."""
    runs = tuple(f"r{number}" for number in range(repeats))
    held = dealt(repeats, len(one.items), seed=seed)
    tables = {name: replace(table, runs=runs, folds=held) for name, table in one.tables.items()}
    return changed(one, tables=tables, protocol="crossfit")


def test_the_corrected_t_by_hand() -> None:
    """Nadeau and Bengio: t = mean / √((1 / J + n_test / n_train) s²) with J − 1 degrees of freedom."""
    rng = np.random.default_rng(1)
    values, held = rng.normal(0.1, 1.0, (3, 100)), dealt(3, 100)
    means = np.array([values[run][held[run] == fold].mean() for run in range(3) for fold in range(5)])
    se = ((1 / 15 + 20 / 80) * means.var(ddof=1)) ** 0.5
    found = corrected(values, held)
    assert isinstance(found, Interval)
    assert (found.mean, found.se, found.df) == pytest.approx((means.mean(), se, 14))
    assert found.p() == pytest.approx(2 * stats.t.sf(abs(means.mean() / se), 14))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 14, means.mean(), se))
    assert found.run_variance + found.item_variance == pytest.approx(se**2)


def test_more_repeats_never_take_away_what_the_training_rows_share() -> None:
    """With ever more repeats of the same folds the variance goes to s² n_test / n_train, not to nothing."""
    values, held = np.random.default_rng(2).normal(size=(1, 50)), dealt(1, 50)
    many = [corrected(np.repeat(values, count, axis=0), np.repeat(held, count, axis=0)) for count in (2, 200)]
    one = np.array([values[0][held[0] == fold].mean() for fold in range(5)])
    assert isinstance(many[1], Interval) and isinstance(many[0], Interval)
    assert many[0].se > many[1].se > (0.25 * one.var(ddof=0)) ** 0.5


@given(st.floats(-2, 2), st.floats(0.1, 3), st.floats(0, 2), st.integers(2, 30))
@settings(deadline=None, max_examples=40)
def test_rope_is_the_posterior(mean: float, spread: float, margin: float, count: int) -> None:
    rng = np.random.default_rng(count)
    noise = rng.normal(size=count)
    values = mean + spread * (noise - noise.mean()) / noise.std(ddof=1)
    found = rope(FoldMeans(values, 0.25), margin)
    assert not isinstance(found, Undefined)
    # Corani and Benavoli: Student with J − 1 degrees and scale² = (1 / J + ρ / (1 − ρ)) s², ρ = 1 / 5.
    scale = spread * (1 / count + 0.2 / 0.8) ** 0.5
    exact = stats.t(count - 1, mean, scale)
    assert (found.below, found.above) == pytest.approx((exact.cdf(-margin), exact.sf(margin)), abs=1e-9)
    assert found.below + found.within + found.above == pytest.approx(1.0)
    mirror = rope(FoldMeans(-values, 0.25), margin)
    assert not isinstance(mirror, Undefined)
    assert (mirror.below, mirror.above) == pytest.approx((found.above, found.below), abs=1e-9)


def test_the_posteriors_middle_by_quadrature() -> None:
    values = np.array([0.02, 0.05, -0.01, 0.03, 0.04])
    found = rope(FoldMeans(values, 0.25), 0.02)
    density = stats.t(4, values.mean(), ((1 / 5 + 0.25) * values.var(ddof=1)) ** 0.5).pdf
    assert not isinstance(found, Undefined)
    assert found.within == pytest.approx(integrate.quad(density, -0.02, 0.02)[0], abs=1e-6)


def test_what_folds_cannot_tell_is_undefined() -> None:
    assert isinstance(fold_means(np.ones((2, 6)), np.zeros((2, 6), dtype=int)), Undefined)
    assert isinstance(corrected(np.ones((2, 10)), dealt(2, 10)), Undefined)
    assert isinstance(rope(FoldMeans(np.ones(5), 0.25), 0.1), Undefined)
    with pytest.raises(UserError, match="match"):
        fold_means(np.ones((2, 6)), np.zeros((1, 6)))
    with pytest.raises(UserError, match="margin"):
        rope(FoldMeans(np.arange(5.0), 0.25), -0.1)


def test_claims_under_repeats_use_the_corrected_variance() -> None:
    one = repeated(case(runs=3), 3)
    first, second = one.tables["concat"], one.tables["frozen/lite0"]
    found = compare(first, second, metric("log_loss"))
    assert "Nadeau" in found.method
    assert first.folds is not None
    gaps = metric("log_loss").run_columns(first.items.targets, first.probs - 0)[..., 0]
    gaps = gaps - metric("log_loss").run_columns(second.items.targets, second.probs)[..., 0]
    assert found.interval == corrected(gaps, first.folds)
    rows = {row.id: row for row in judge(one).evidence}
    assert "Nadeau" in rows["log_loss:concat-vs-frozen/lite0:test:clean"].method


def test_one_set_of_folds_and_unlike_folds_do_not() -> None:
    once = repeated(case(runs=1), 1)
    found = compare(once.tables["concat"], once.tables["ensemble"], metric("log_loss"))
    assert "items only" in found.method
    other = replace(once.tables["ensemble"], folds=dealt(1, 200, seed=9))
    assert "Nadeau" not in compare(once.tables["concat"], other, metric("log_loss")).method
    assert restricted(once.tables["concat"], np.arange(20)).folds is None


def test_the_order_of_rows_is_irrelevant() -> None:
    one = repeated(case(runs=3), 3)
    table, other = one.tables["concat"], one.tables["ensemble"]
    order = np.random.default_rng(0).permutation(len(table.items))
    known = items(200)
    turned_items = replace(known, ids=tuple(known.ids[row] for row in order), targets=known.targets[order])
    assert other.folds is not None
    turned = replace(other, items=turned_items, probs=other.probs[:, order], folds=other.folds[:, order], logits=None)
    plain, mixed = (compare(table, each, metric("log_loss")).interval for each in (other, turned))
    assert isinstance(plain, Interval) and isinstance(mixed, Interval)
    assert (mixed.low, mixed.high) == pytest.approx((plain.low, plain.high))


def test_the_question_gives_three_probabilities_and_a_reading() -> None:
    one = repeated(case(runs=2), 2)
    rows = {row.versus: row for row in question.ask(one)}
    row = rows["frozen/lite0"]
    about = row.provenance
    assert about["better"] + about["equivalent"] + about["worse"] == pytest.approx(1.0)
    assert row.value == about["better"] > 0.99 and about["reading"] == "better"
    assert about["corrected_se"] > about["naive_se"] and about["folds"] == 10
    assert question.ask(case()) == []


def test_an_arm_against_itself_has_no_posterior() -> None:
    one = repeated(case(runs=2), 2)
    same = replace(one.tables["concat"], arm="ensemble")
    rows = question.ask(changed(one, tables={**one.tables, "ensemble": same}))
    assert isinstance(next(row for row in rows if row.versus == "ensemble").value, Undefined)


def test_few_runs_of_one_arm_alone_are_not_cross_fitted() -> None:
    known = items(60)
    plain, held = judged("concat", known, 2.0, 2), judged("gate", known, 2.5, 2)
    found = compare(plain, replace(held, folds=dealt(2, 60)), metric("log_loss"))
    assert "crossed" in found.method


def test_an_arm_that_was_chosen_in_each_fold_is_not_trusted_to_the_last_digit() -> None:
    one = repeated(case(runs=2), 2)
    row = comparison_rows(one, one.comparisons, "log_loss", False)[0]
    assert "repeats help" not in sentence(row, one) and "luck of the folds" in sentence(row, one)
    arms = tuple(replace(arm, method="chosen in each fold") if arm.name == "concat" else arm for arm in one.arms)
    assert "may be too narrow; repeats help" in sentence(row, changed(one, arms=arms))
    locked = changed(one, arms=arms, protocol="locked")
    assert "too narrow" not in sentence(row, locked)
