"""EMA and SWA, WiSE-FT, task singular vectors, weights by layer, Fisher, RegMean: worked values and oracles."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from transfuse.errors import UserError
from transfuse.fusion.weights_lift import merge_states
from transfuse.registry import method


def merged(name, rows, *, base=None, weights=None, stats=None, tensor="t", **given):
    states = {f"s{index}": {tensor: np.asarray(row, dtype=np.float64)} for index, row in enumerate(rows)}
    start = None if base is None else {tensor: np.asarray(base, dtype=np.float64)}
    told = {
        need: {f"s{k}": {tensor: np.asarray(of)} for k, of in enumerate(each)} for need, each in (stats or {}).items()
    }
    entry = method(f"weights/{name}")
    return merge_states(entry, states, weights=weights, base=start, settings=given, stats=told)[tensor]


def test_ema_is_the_recursion_and_swa_is_the_mean():
    rows = np.random.default_rng(0).normal(size=(5, 4))
    average, weight = np.zeros(4), 0.0
    for row in rows:
        average, weight = 0.7 * average + row, 0.7 * weight + 1
    assert np.allclose(merged("ema", rows, decay=0.7), average / weight)
    assert np.allclose(merged("ema", rows, decay=1.0, skip=2), rows[2:].mean(axis=0))
    with pytest.raises(UserError, match="no checkpoint is left"):
        merged("ema", rows, skip=5)


def test_wise_ft_goes_from_the_base_to_the_mean():
    base, rows = [1.0, 2.0], [[3.0, 0.0], [5.0, 4.0]]
    assert merged("wise_ft", rows, base=base, alpha=0.0).tolist() == base
    assert merged("wise_ft", rows, base=base, alpha=1.0).tolist() == [4.0, 2.0]
    assert merged("wise_ft", rows, base=base, alpha=0.25, weights=[1, 0]).tolist() == [1.5, 1.5]


def test_task_singular_vectors_of_one_member_are_all_of_it():
    rng = np.random.default_rng(1)
    tau, base = rng.normal(size=(4, 6)), rng.normal(size=(4, 6))
    assert np.allclose(merged("tsv", [base + tau], base=base), base + tau)
    assert np.allclose(merged("tsv", [base + tau], base=base, scale=0.5), base + 0.5 * tau)


def test_members_that_change_orthogonal_directions_do_not_interfere():
    q = np.linalg.qr(np.random.default_rng(2).normal(size=(4, 4)))[0]
    first, second = 3 * np.outer(q[0], q[0]) + np.outer(q[1], q[1]), 2 * np.outer(q[2], q[2]) + np.outer(q[3], q[3])
    assert np.allclose(merged("tsv", [first, second], base=np.zeros((4, 4))), first + second)


def test_layers_take_the_first_pattern_that_matches():
    rows = [[1.0], [3.0]]
    patterns = ["head.*: 1, 0", "head.w*: 0, 1", "body.w: 1, 3"]
    assert merged("layer_wise", rows, tensor="head.w", patterns=patterns).tolist() == [1.0]
    assert merged("layer_wise", rows, tensor="body.w", patterns=patterns).tolist() == [2.5]
    assert merged("layer_wise", rows, tensor="other", patterns=patterns, weights=[3, 1]).tolist() == [1.5]


@pytest.mark.parametrize("text", ["head.*", "head: 1", "head: 1, -1", "head: 1, much", "head: 1, nan"])
def test_patterns_that_cannot_be_read_are_refused(text):
    with pytest.raises(UserError, match="(?s)pattern's weights.*WEIGHT, WEIGHT"):
        merged("layer_wise", [[1.0], [2.0]], patterns=[text])


def test_fisher_weighs_by_information():
    assert merged("fisher", [[1.0], [3.0]], stats={"fisher": [[1.0], [3.0]]}, epsilon=1e-12) == pytest.approx([2.5])
    assert merged("fisher", [[1.0], [3.0]], stats={"fisher": [[0.0], [0.0]]}) == pytest.approx([2.0])
    lopsided = merged("fisher", [[1.0, 1.0], [3.0, 3.0]], stats={"fisher": [[9.0, 1.0], [1.0, 1.0]]}, normalise=True)
    assert lopsided == pytest.approx([(1.8 + 3) / 2.8, (0.2 + 3) / 1.2], rel=1e-4)


def test_regmean_of_separate_inputs_takes_each_members_own():
    grams = {"gram": [np.diag([1.0, 0.0]), np.diag([0.0, 1.0])]}
    assert np.allclose(merged("regmean", [[[1.0, 2.0]], [[3.0, 4.0]]], stats=grams), [[1.0, 4.0]], atol=1e-4)


def test_regmean_minimises_the_distance_of_outputs():
    rng = np.random.default_rng(3)
    inputs, matrices = rng.normal(size=(2, 200, 4)), rng.normal(size=(2, 3, 4))
    grams = [x.T @ x / len(x) for x in inputs]
    found = merged("regmean", matrices, stats={"gram": grams}, keep=1.0, ridge=1e-12)
    w = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    loss = sum(
        ((torch.from_numpy(x) @ (torch.from_numpy(m) - w).T) ** 2).sum() / len(x)
        for x, m in zip(inputs, matrices, strict=True)
    )
    (slope,) = torch.autograd.grad(loss, w)
    hessian = 2 * sum(grams)
    assert np.allclose(found, -slope.numpy() @ np.linalg.inv(hessian), atol=1e-8)


def test_what_has_no_moments_gets_the_mean():
    assert merged("regmean", [[1.0, 2.0], [3.0, 6.0]], stats={"gram": [np.eye(2), np.eye(2)]}).tolist() == [2.0, 4.0]
