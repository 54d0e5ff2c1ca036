"""Every set at once equals each set alone, the ridge head is scikit-learn's, leaving one out is leaving one out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from transfuse.errors import UserError
from transfuse.evaluation.probes import closed_forms as closed
from transfuse.fusion.joints import Standardise
from transfuse.registry import method

RNG = np.random.default_rng(0)
N, CLASSES = 50, 3
TARGETS = np.arange(N) % CLASSES
BLOCKS = [RNG.normal(size=(N, width)) + 0.7 * np.eye(CLASSES, width)[TARGETS] for width in (6, 60, 9)]


def test_every_set_by_every_fuser_equals_the_set_alone() -> None:
    found = closed.every_set(BLOCKS, TARGETS, CLASSES)
    sets = [members for count in (1, 2, 3) for members in combinations(range(3), count)]
    assert set(found) == {(fuser, members) for fuser in closed.FUSERS for members in sets}
    for (fuser, members), scores in found.items():
        wanted = closed.alone(fuser, [BLOCKS[member] for member in members], TARGETS, CLASSES)
        np.testing.assert_allclose(scores, wanted, atol=1e-9)


@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_the_head_is_scikit_learns_ridge(penalty: float) -> None:
    columns = np.concatenate([(block - block.mean(0)) / block.std(0) for block in BLOCKS[:2]], axis=1)
    hot = np.eye(CLASSES)[TARGETS]
    oracle = Ridge(alpha=penalty * N).fit(columns, hot).predict(columns) - hot.mean(axis=0)
    found = closed.every_set(BLOCKS, TARGETS, CLASSES, penalty=penalty)["concat", (0, 1)]
    np.testing.assert_allclose(found, oracle, atol=1e-9)


def test_reduced_and_selected_columns_are_those_of_the_trained_fusers() -> None:
    """The closed forms here and the bodies of `features/` agree on what they keep; where a block has fewer columns than
    rows, since the body of `pca_concat` counts directions in which nothing varies as loudness too."""
    blocks = [BLOCKS[0], BLOCKS[1][:, :30], BLOCKS[2]]
    widths, standard = [6, 30, 9], [torch.from_numpy((block - block.mean(0)) / block.std(0)) for block in blocks]
    found = closed.every_set(blocks, TARGETS, CLASSES)
    reducing = method("features/pca_concat").load().Fuser(widths, columns=128, dropout=0.0).double()
    selecting = method("features/select").load().Fuser(widths, keep=0, unit="columns", dropout=0.0)
    for name, body in (("pca_concat", reducing), ("select", selecting)):
        body.fit(standard, torch.from_numpy(TARGETS))
        kernel = (body(standard) @ body(standard).T).numpy()
        hot = np.eye(CLASSES)[TARGETS]
        wanted = kernel @ np.linalg.solve(kernel + closed.PENALTY * N * np.eye(N), hot - hot.mean(0))
        np.testing.assert_allclose(found[name, (0, 1, 2)], wanted, atol=1e-6)


def test_leaving_one_out_is_a_fit_without_that_row() -> None:
    columns = BLOCKS[0] - BLOCKS[0].mean(axis=0)
    kernel, hot = columns @ columns.T, np.eye(CLASSES)[TARGETS]
    targets = hot - hot.mean(axis=0)
    found = closed.leave_one_out(kernel, TARGETS, CLASSES)
    for row in (0, 7, 49):
        rest = np.delete(np.arange(N), row)
        oracle = Ridge(alpha=closed.PENALTY * N, fit_intercept=False).fit(columns[rest], targets[rest])
        np.testing.assert_allclose(found[row], oracle.predict(columns[[row]])[0], atol=1e-9)


def test_blocks_of_other_rows_are_refused() -> None:
    with pytest.raises(UserError, match="do not match the targets"):
        closed.every_set([BLOCKS[0][:-1]], TARGETS, CLASSES)
    with pytest.raises(UserError, match="do not match the targets"):
        closed.every_set([], TARGETS, CLASSES)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_unit_of_a_block_changes_no_answer(scale: float) -> None:
    """Features that are small throughout say as much as loud ones; the joints that train on them do the same."""
    constant = np.full((N, 1), 5.0)
    blocks = [np.concatenate([BLOCKS[0], constant], axis=1), BLOCKS[1]]
    found = closed.every_set([blocks[0] * scale, blocks[1]], TARGETS, CLASSES)
    for key, wanted in closed.every_set(blocks, TARGETS, CLASSES).items():
        np.testing.assert_allclose(found[key], wanted, atol=1e-9)


def test_columns_are_judged_as_the_joints_judge_them() -> None:
    rows = RNG.normal(size=(N, 4)) * [1.0, 1e-8, 0.0, 1e-9] + [0.0, 0.0, 3.0, 1.0]
    joint = Standardise(4)
    joint.settle(torch.from_numpy(rows))
    taken = closed.varying(rows.std(axis=0), rows.mean(axis=0))
    assert taken.tolist() == (joint.std != 1.0).tolist() == [True, False, False, False]
