from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import Ridge

from transfuse.errors import UserError
from transfuse.evaluation import temperature
from transfuse.evaluation.probes.ridge import LIFT, PENALTIES, TEMPERATURES, Heads, System, _losses, standardised


def sources(rows: int = 90, widths: tuple[int, ...] = (4, 7, 150), seed: int = 0):
    """Three blocks, the last wider than long, 3 classes, 5 folds."""
    rng = np.random.default_rng(seed)
    targets = np.arange(rows) % 3
    hint = np.eye(3)[targets]
    blocks = {
        name: rng.normal(size=(rows, width)) + 1.5 * hint @ rng.normal(size=(3, width)) / width**0.5
        for name, width in zip("abc", widths, strict=False)
    }
    return blocks, targets, (np.arange(rows) // 3) % 5


@pytest.mark.parametrize("names", [("a",), ("a", "b"), ("c",), ("a", "c")])
def test_scores_are_those_of_scikit_learns_ridge(names: tuple[str, ...]) -> None:
    """By columns and by rows alike, for a set whose Gram matrix is put together from blocks."""
    blocks, targets, folds = sources()
    heads = Heads(blocks, targets, 3, folds)
    block = np.concatenate([heads.parts[name] for name in names], axis=1)
    train, held = folds != 2, folds == 2
    oracle = Ridge(alpha=1e-3 * train.sum() * block.shape[1]).fit(block[train], np.eye(3)[targets[train]])
    (found,) = System(heads, [2]).scores(names, [1e-3], np.flatnonzero(held))
    np.testing.assert_allclose(found, oracle.predict(block[held]), atol=1e-9)


def test_losses_at_all_temperatures_are_those_of_a_softmax() -> None:
    """Fourth powers in place of exponentials change nothing, nor does a temperature alone."""
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(size=(40, 5)), rng.integers(0, 5, 40)
    for heats in (TEMPERATURES, TEMPERATURES[4:5], np.array([0.3, 1.0, 2.0, 7.0])):
        logs = log_softmax(LIFT * scores[:, None] / heats[:, None], axis=2)
        wanted = np.minimum(-logs[np.arange(40), :, targets], -np.log(1e-15))
        np.testing.assert_allclose(_losses(scores, targets, heats), wanted, atol=1e-12)


def test_a_row_is_answered_by_heads_and_choices_that_never_saw_its_fold() -> None:
    """Other labels in a fold change nothing of what was chosen for that fold, nor its answers."""
    blocks, targets, folds = sources()
    changed = np.where(folds == 1, (targets + 1) % 3, targets)
    first, second = (Heads(blocks, each, 3, folds).answers([("a", "b")])[("a", "b")] for each in (targets, changed))
    assert first.penalties[1] == second.penalties[1] and first.temperatures[1] == second.temperatures[1]
    assert first.inner[1] == second.inner[1]
    assert (first.losses[folds == 1] != second.losses[folds == 1]).all()
    assert first.penalties[0] != second.penalties[0] or first.inner[0] != second.inner[0]


def test_temperature_is_close_to_the_best_on_the_other_folds() -> None:
    blocks, targets, folds = sources()
    heads = Heads(blocks, targets, 3, folds)
    answer = heads.answers([("a", "b")])[("a", "b")]
    fold, penalty = 0, answer.penalties[0]
    held, scores = [], []
    for other in range(1, 5):
        rows = heads.rows[other]
        held.append(rows)
        scores.append(System(heads, [fold, other]).scores(("a", "b"), [penalty], rows)[0])
    exact = temperature.fit(LIFT * np.concatenate(scores), targets[np.concatenate(held)], "logit")
    assert answer.temperatures[0] == pytest.approx(exact, rel=0.1)
    logits = LIFT * System(heads, [fold]).scores(("a", "b"), [penalty], heads.rows[fold])[0]
    probabilities = temperature.apply(logits, "logit", answer.temperatures[0])
    rows = heads.rows[fold]
    np.testing.assert_allclose(answer.losses[rows], -np.log(probabilities[np.arange(len(rows)), targets[rows]]))


def test_a_second_source_helps_where_it_brings_something_and_the_empty_set_knows_frequencies() -> None:
    blocks, targets, folds = sources()
    found = Heads({**blocks, "d": blocks["a"]}, targets, 3, folds).answers([(), ("a",), ("a", "b"), ("a", "d")])
    loss = {names: answer.losses.mean() for names, answer in found.items()}
    assert loss[("a", "b")] < loss[("a",)] - 0.02 < loss[()]
    assert loss[("a", "d")] == pytest.approx(loss[("a",)], abs=0.02)
    assert loss[()] == pytest.approx(np.log(3), abs=1e-3)
    assert set(found[("a",)].penalties) <= set(PENALTIES)


def test_wide_sources_are_narrowed_and_say_so() -> None:
    blocks, targets, folds = sources()
    assert Heads(blocks, targets, 3, folds).exact
    narrow = Heads(blocks, targets, 3, folds, widest=30)
    assert not narrow.exact and narrow.block.shape[1] <= 30
    assert narrow.answers([("c",)])[("c",)].losses.mean() < np.log(3)


def test_degenerate_columns_and_too_few_folds() -> None:
    blocks, targets, folds = sources()
    flat = standardised(np.column_stack([np.ones(90), np.full(90, 0.1), blocks["a"]]))
    assert (flat[:, :2] == 0).all() and np.isfinite(flat).all()
    found = Heads({"flat": np.ones((90, 3))}, targets, 3, folds).answers([("flat",)])[("flat",)]
    assert found.losses.mean() == pytest.approx(np.log(3), abs=0.02)
    with pytest.raises(UserError, match="three folds"):
        Heads(blocks, targets, 3, folds % 2)
