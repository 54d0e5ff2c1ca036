"""Leaving out: branches as wholes, columns scaled up, nothing in evaluation, and a mean over networks that is exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from transfuse.fusion.connect import connect
from transfuse.fusion.dropping import Dropping, averaged
from transfuse.fusion.saved import load, save
from transfuse.seeds import integer

ROWS, CLASSES = 4000, ("cat", "dog", "owl")


def dropped(branches, sizes, rows: int = ROWS, **shares) -> list[torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Dropping(branches, **shares).train()([torch.ones(rows, *size) for size in sizes])


def test_in_evaluation_and_without_shares_blocks_pass_as_they_are():
    given = [torch.ones(3, 2), torch.ones(3, 4)]
    assert Dropping((0, 1), 0.5, 0.5).eval()(given) is given
    assert Dropping((0, 1)).train()(given) is given


def test_a_branch_goes_with_all_its_blocks_and_one_branch_always_stays():
    first, second, third = dropped((0, 0, 1), ((2,), (3,), (4, 2, 2)), branch=0.6)
    alive = [block.flatten(1) for block in (first, second, third)]
    assert all(bool(((block == 0) | (block == 1)).all()) for block in alive)
    assert all(torch.equal(block[:, :1].expand_as(block), block) for block in alive)
    assert torch.equal(alive[0][:, 0], alive[1][:, 0])
    assert bool((alive[0][:, 0] + alive[2][:, 0] >= 1).all())
    # Both are left out by 0.36 of draws, in which one of the two stays.
    assert float(alive[0][:, 0].mean()) == pytest.approx(0.4 + 0.36 / 2, abs=0.03)


def test_a_single_branch_is_never_left_out():
    (only,) = dropped((0,), ((3,),), branch=0.9)
    assert bool((only == 1).all())


def test_left_out_columns_are_made_up_for_by_the_rest():
    vector, maps = dropped((0, 1), ((5,), (5, 2, 2)), feature=0.25)
    assert sorted(vector.unique().tolist()) == pytest.approx([0.0, 4 / 3])
    assert float(vector.mean()) == pytest.approx(1.0, abs=0.03)
    assert torch.equal(maps[:, :, :1, :1].expand_as(maps), maps)


@pytest.fixture
def network(members):
    """A gate on three sources with every kind of dropout, stirred."""
    made = connect("features/gate", members, None, CLASSES, settings={"dropout": 0.3, "width": 6})
    stirring = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in made.crown.parameters():
            parameter += torch.randn(parameter.shape, generator=stirring)
    made.crown.drop(branch=0.3, feature=0.2, passes=7)
    return made.eval()


def test_the_mean_over_passes_is_that_of_networks_with_shared_masks(network, canvas):
    crown, blocks = network.crown, network.member_blocks(canvas)
    total = 0.0
    for number in range(7):
        rng = torch.Generator().manual_seed(integer("monte carlo", number))
        joined = crown.dropping.masked(crown.joined(blocks), 1, rng)
        mask = (torch.rand(1, 6, generator=rng) >= 0.3) / 0.7
        total = total + torch.softmax(crown.head(crown.body(joined) * mask), dim=1)
    assert torch.allclose(averaged(crown, blocks, 7).exp(), total / 7, atol=1e-6)
    assert torch.allclose(network(canvas).exp().sum(dim=1), torch.ones(len(canvas)), atol=1e-5)


def test_a_row_does_not_depend_on_its_batch_and_comes_again(network, canvas):
    whole = network(canvas)
    assert torch.equal(network(canvas), whole)
    assert torch.allclose(torch.cat([network(canvas[row : row + 1]) for row in range(len(canvas))]), whole, atol=1e-5)


def test_more_passes_are_another_answer_and_none_is_the_plain_one(network, canvas):
    several = network(canvas)
    network.crown.passes = 0
    plain = network(canvas)
    assert torch.equal(plain, network.crown.head(network.crown.fuse(network.member_blocks(canvas))))
    assert not torch.allclose(torch.softmax(plain, 1), several.exp(), atol=1e-3)


def test_a_saved_network_leaves_out_the_same(network, canvas, tmp_path, members):
    save(network, tmp_path / "model")
    modules = {name: source.network for name, source in members.items()}
    again = load(tmp_path / "model", modules=modules)
    np.testing.assert_array_equal(again(canvas).detach().numpy(), network(canvas).detach().numpy())
