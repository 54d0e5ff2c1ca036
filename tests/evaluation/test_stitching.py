from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from transfuse.evaluation.stitching import PENALTY, PlainHead, Stitch, stitching_row

RNG = np.random.default_rng(0)
TARGETS = RNG.permutation(np.arange(90) % 3)
BLOCK = RNG.normal(size=(90, 7)) * [1, 10, 100, 1, 1, 1, 1] + 2.0 * np.eye(7)[TARGETS] + 5.0


def test_the_plain_head_is_scikit_learns_ridge_on_standardised_columns() -> None:
    scaled = (BLOCK - BLOCK.mean(axis=0)) / BLOCK.std(axis=0)
    wanted = Ridge(alpha=PENALTY * BLOCK.size).fit(scaled, np.eye(3)[TARGETS]).predict(scaled).argmax(axis=1)
    found = PlainHead.fitted(BLOCK, TARGETS, 3).right(BLOCK, TARGETS)
    assert (found == (wanted == TARGETS)).all()
    assert 0.4 < found.mean() < 1.0


def test_a_column_that_does_not_vary_says_nothing_however_it_changes_later() -> None:
    constant = np.column_stack([BLOCK, np.full(90, 3.0)])
    moved = np.column_stack([BLOCK, np.full(90, 1e9)])
    head = PlainHead.fitted(constant, TARGETS, 3)
    assert (head.right(moved, TARGETS) == PlainHead.fitted(BLOCK, TARGETS, 3).right(BLOCK, TARGETS)).all()


def test_the_loss_is_against_the_worse_of_both_and_nothing_is_lost_by_the_same_answers() -> None:
    good, bad = RNG.random(90) < 0.9, RNG.random(90) < 0.6
    for ends in ((good, bad), (bad, good)):
        row = stitching_row(("a", "b"), Stitch(*ends, stitched=np.zeros(90, dtype=bool)), None, {})
        assert row.value == pytest.approx(bad.mean())
        assert row.provenance["accuracy"]["stitched"] == 0.0
    assert row.low is not None and row.low < row.value < row.high and row.p is None
    same = stitching_row(("a", "b"), Stitch(good, bad, bad), None, {})
    assert same.value == 0.0 and same.low is None
