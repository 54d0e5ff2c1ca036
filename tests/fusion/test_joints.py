"""Joints make blocks comparable without ever looking at the batch they are given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from transfuse.fusion.joints import Standardise, pooled


def drawn(*shape):
    return 3 + 5 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def settled(block):
    joint = Standardise(block.shape[1])
    joint.settle(block)
    return joint


def test_a_vector_is_standardised_as_scikit_learn_does():
    block = drawn(50, 4)
    wanted = StandardScaler().fit_transform(block.double().numpy())
    assert np.allclose(settled(block)(block).numpy(), wanted, atol=1e-5)


def test_a_map_is_standardised_per_channel_over_rows_and_places():
    block = drawn(20, 3, 5, 4)
    found = settled(block)(block)
    assert torch.allclose(found.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(found.std(dim=(0, 2, 3), unbiased=False), torch.ones(3), atol=1e-5)


def test_before_it_is_settled_a_block_passes_unchanged():
    block = drawn(5, 4)
    assert torch.equal(Standardise(4)(block), block)


def test_other_rows_do_not_move_a_row():
    block, joint = drawn(30, 4), settled(drawn(50, 4))
    assert torch.equal(joint(block)[:1], joint(block[:1]))


def test_a_constant_channel_becomes_zero():
    block = torch.cat([drawn(10, 1), torch.full((10, 1), 7.25)], dim=1)
    assert torch.equal(settled(block)(block)[:, 1], torch.zeros(10))


def test_the_statistics_travel_with_the_state():
    block = drawn(10, 4)
    twin = Standardise(4)
    twin.load_state_dict(settled(block).state_dict())
    assert torch.equal(twin(block), settled(block)(block))


def test_one_training_row_is_enough():
    block = drawn(1, 4)
    assert torch.equal(settled(block)(block), torch.zeros(1, 4))


@pytest.mark.parametrize(("shape", "axes"), [((2, 3), ()), ((2, 5, 3), (1,)), ((2, 3, 4, 4), (2, 3))])
def test_pooled_is_a_vector_per_row(shape, axes):
    block = drawn(*shape)
    assert torch.equal(pooled(block), block.mean(dim=axes) if axes else block)
    assert pooled(block).shape == (2, 3)
