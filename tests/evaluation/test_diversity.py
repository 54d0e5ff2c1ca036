from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.full_case import full_case
from evaluation.judged import changed
from transfuse.evaluation.metric import metric
from transfuse.evaluation.questions import diversity
from transfuse.evaluation.statistics.diversity import (
    agreement,
    disagreement_ratio,
    error_correlation,
    improvement_rate,
    pool,
    pool_of_labels,
    pool_of_numbers,
    q_statistic,
    residual_correlation,
    residual_products,
)
from transfuse.types import Task, Undefined


def members(seed: int, count: int = 4, items: int = 50, classes: int = 5) -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    return list(rng.dirichlet(np.ones(classes), (count, items))), rng.integers(0, classes, items)


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 7))
@settings(deadline=None, max_examples=25)
def test_the_gain_over_the_average_member_is_the_spread_of_the_members(seed: int, count: int, classes: int) -> None:
    probs, targets = members(seed, count, 20, classes)
    found = pool(probs, targets)
    for gap, spread in (
        (found.member_brier - found.brier, found.ambiguity_brier),
        (found.member_log_loss - found.log_loss, found.ambiguity_log_loss),
    ):
        assert np.abs(gap - spread).max() <= 1e-12
        assert spread.min() >= -1e-12


def test_the_pools_losses_are_those_of_the_metrics() -> None:
    probs, targets = members(0)
    found, mean = pool(probs, targets), np.mean(probs, axis=0)
    geometric = np.exp(np.mean(np.log(probs), axis=0))
    geometric /= geometric.sum(axis=1, keepdims=True)
    assert found.brier.mean() == pytest.approx(metric("brier").values(targets, mean[None])[0])
    assert found.log_loss.mean() == pytest.approx(metric("log_loss").values(targets, geometric[None])[0])
    each = metric("log_loss").values(targets, np.stack(probs))
    assert found.member_log_loss.mean() == pytest.approx(each.mean())
    assert 1 - found.pool_error.mean() == pytest.approx(metric("accuracy").values(targets, mean[None])[0])


def test_a_certain_wrong_member_leaves_the_identity_exact() -> None:
    found = pool([np.array([[1.0, 0.0]]), np.array([[0.2, 0.8]])], np.array([1]))
    assert found.member_log_loss - found.log_loss == pytest.approx(found.ambiguity_log_loss, abs=1e-12)


def test_votes_and_disagreement_by_counting() -> None:
    probs, targets = members(1, count=4, items=40, classes=3)
    answers = np.stack([each.argmax(axis=1) for each in probs])
    found = pool(probs, targets)
    apart = [np.mean([a != b for a, b in product(column, repeat=2)]) for column in answers.T]
    assert found.disagreement == pytest.approx(apart)
    for item, column in enumerate(answers.T):
        counts = np.bincount(column, minlength=3)
        tied = np.flatnonzero(counts == counts.max())
        assert found.vote_error[item] == pytest.approx(1 - (targets[item] in tied) / len(tied))
    assert found.right_somewhere.mean() == (answers == targets).any(axis=0).mean()
    assert found.member_error.mean() == pytest.approx((answers != targets).mean())


def test_pairs_by_their_textbook_forms() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.random((1, 300)) < 0.7, rng.random((1, 300)) < 0.6
    shares = agreement(first, second).mean(axis=1)[0]
    assert error_correlation(shares) == pytest.approx(np.corrcoef(~first[0], ~second[0])[0, 1])
    a, b, c, d = shares
    assert q_statistic(shares) == pytest.approx((a * d - b * c) / (a * d + b * c))
    assert shares.sum() == pytest.approx(1.0)
    same = agreement(first, first).mean(axis=1)[0]
    assert (error_correlation(same), q_statistic(same)) == (pytest.approx(1.0), pytest.approx(1.0))
    always = agreement(np.ones((1, 5), bool), np.array([[True, False, True, True, False]])).mean(axis=1)[0]
    assert np.isnan(error_correlation(always)) and np.isnan(q_statistic(always))


def test_ratios_of_disagreement_and_improvement() -> None:
    assert disagreement_ratio(np.array([0.2, 0.1])) == pytest.approx(2.0)
    assert improvement_rate(np.array([0.05, 0.1])) == pytest.approx(0.5)
    assert np.isnan(disagreement_ratio(np.array([0.0, 0.0])))


def test_the_question_answers_for_pairs_and_for_the_ensemble() -> None:
    case = full_case()
    rows = {(row.quantity, row.arm, row.versus): row for row in diversity.ask(case)}
    pairs = {key[0] for key in rows if key[1:] == ("frozen/a", "frozen/b")}
    assert pairs == {"disagreement", "double_fault", "error_correlation", "q_statistic"}
    for name in ("oracle_accuracy", "ambiguity_brier", "ambiguity_log_loss", "der", "eir"):
        row = rows[name, "ensemble", None]
        assert row.provenance["members"] == ["frozen/a", "frozen/b"]
        assert isinstance(row.value, float) and row.low is not None and row.high is not None
        assert row.low <= row.value <= row.high
    brier = rows["ambiguity_brier", "ensemble", None]
    assert brier.value == pytest.approx(brier.provenance["mean_member"] - brier.provenance["pool"], abs=1e-12)


def test_the_delta_interval_is_as_wide_as_the_bootstraps() -> None:
    row = next(row for row in diversity.ask(full_case(runs=1, count=400)) if row.quantity == "error_correlation")
    one = changed(full_case(runs=1, count=400))
    right = [one.tables[name].probs[0].argmax(axis=1) == one.items.targets for name in ("frozen/a", "frozen/b")]
    groups = np.array([int(name[1:]) for name in one.items.groups or ()])
    rng, drawn = np.random.default_rng(0), []
    for _ in range(400):
        rows = np.concatenate([np.flatnonzero(groups == pick) for pick in rng.integers(0, 8, 8)])
        drawn.append(np.corrcoef(right[0][rows], right[1][rows])[0, 1])
    assert row.low is not None and row.high is not None
    # The t quantile of 7 degrees of freedom is 2.36; the bootstrap of 8 groups is narrower by sqrt(7 / 8).
    assert (row.high - row.low) / 2 / 2.365 == pytest.approx(np.std(drawn) * (8 / 7) ** 0.5, rel=0.25)


def test_a_member_that_never_errs_is_undefined_with_its_reason() -> None:
    case = full_case(runs=1)
    perfect = np.eye(4)[case.items.targets][None]
    tables = dict(case.tables)
    for name in ("frozen/a", "frozen/b"):
        tables[name] = type(tables[name])(name, case.items, perfect, ("s0",))
    rows = {row.quantity: row for row in diversity.ask(changed(case, tables=tables))}
    assert rows["der"].value == Undefined("no member ever errs")
    assert isinstance(rows["error_correlation"].value, Undefined)
    assert (rows["disagreement"].value, rows["disagreement"].low) == (0.0, None)


@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(1, 4))
@settings(deadline=None, max_examples=20)
def test_the_gain_of_labels_and_of_numbers_is_the_spread_of_the_members(seed: int, count: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    chances, held = list(rng.random((count, 20, columns))), (rng.random((20, columns)) < 0.4).astype(int)
    labels = pool_of_labels(chances, held)
    assert labels.member_brier - labels.brier == pytest.approx(labels.ambiguity_brier, abs=1e-12)
    assert labels.member_log_loss - labels.log_loss == pytest.approx(labels.ambiguity_log_loss, abs=1e-12)
    mean = np.mean(chances, axis=0)
    assert labels.brier.mean() == pytest.approx(metric("binary_brier").values(held, mean[None])[0])
    each = metric("binary_log_loss").values(held, np.stack(chances))
    assert labels.member_log_loss.mean() == pytest.approx(each.mean())
    numbers = list(rng.normal(size=(count, 20, columns)))
    found = pool_of_numbers(numbers, held.astype(float))
    assert found.member_error - found.pool_error == pytest.approx(found.ambiguity, abs=1e-12)
    wanted = metric("squared_error").values(held.astype(float), np.mean(numbers, axis=0)[None])[0]
    assert found.pool_error.mean() == pytest.approx(wanted)


def test_errors_in_numbers_correlate_as_numpy_says() -> None:
    rng = np.random.default_rng(3)
    first = rng.normal(size=(1, 200, 2)) * [1.0, 100.0] + [5.0, 0.0]
    second = 0.5 * first + rng.normal(size=(1, 200, 2)) * [1.0, 100.0]
    wanted = np.mean([np.corrcoef(first[0, :, c], second[0, :, c])[0, 1] for c in range(2)])
    found = residual_correlation(residual_products(first, second).mean(axis=1))
    assert found == pytest.approx(wanted)
    assert np.isnan(residual_correlation(residual_products(first, np.ones_like(first)).mean(axis=1))).all()


def test_scores_of_anything_say_nothing_of_answers_and_are_told_so() -> None:
    one = changed(full_case(), task=Task("regression", (), "loss", ()))
    assert diversity.ask(one) == []
    assert "diversity" in diversity.silent(one) and not diversity.silent(full_case())
