"""Consistency: changes of an item are those on paper, and only what the network was sure of before is learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from transfuse.registry import find
from transfuse.train.batches import Batch
from transfuse.train.objectives import SHELF, About, Objective, consistency, objective

SIDE = 16


class Net(nn.Module):
    """Scores of the mean colour of a canvas, or of a vector."""

    def __init__(self, on_canvas: bool) -> None:
        super().__init__()
        self.on_canvas, self.head = on_canvas, nn.Linear(3, 2)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        given = inputs[0].mean(dim=(2, 3)) if self.on_canvas else inputs[0]
        return self.head(given)


def goal_of(model: Net, **settings: float) -> Objective:
    about = About("multiclass", 0.0, model)  # pyright: ignore[reportArgumentType]
    return objective([("consistency", find(SHELF, "consistency").settings(settings))], about)


def batches(on_canvas: bool) -> dict[str, Batch]:
    torch.manual_seed(0)
    shape = (3, SIDE, SIDE) if on_canvas else (3,)
    labelled = Batch(np.arange(6), [torch.rand(6, *shape)], torch.arange(6) % 2)
    return {"train": labelled, "pool": Batch(np.arange(9), [torch.rand(9, *shape)])}


def test_a_shift_is_a_crop_of_the_image_with_its_edge_repeated() -> None:
    torch.manual_seed(1)
    images = torch.rand(12, 3, SIDE, SIDE)
    moved = consistency.shifted(images, 0.125)
    found = set()
    for image, after in zip(images.numpy(), moved.numpy(), strict=True):
        wide = np.pad(image, ((0, 0), (2, 2), (2, 2)), mode="edge")
        places = [
            (down, across) for down in range(5) for across in range(5)
            if np.array_equal(wide[:, down : down + SIDE, across : across + SIDE], after)
        ]  # fmt: skip
        assert len(places) == 1
        found.add(places[0])
    assert len(found) > 5
    assert torch.equal(consistency.shifted(images, 0.0), images)


def test_a_strong_change_stays_a_canvas_and_greys_out_one_square() -> None:
    torch.manual_seed(2)
    images = torch.rand(20, 3, SIDE, SIDE)
    changed = consistency.canvas_changed(images, 1.0)
    assert bool(((changed >= 0) & (changed <= 1)).all())
    for image in changed:
        grey = (image == 0.5).all(dim=0)
        down, across = (grey.any(dim=axis).nonzero()[:, 0] for axis in (1, 0))
        assert 1 <= len(down) <= SIDE // 2 + 1
        assert bool(grey[down.min() : down.max() + 1, across.min() : across.max() + 1].all())
    torch.testing.assert_close(consistency.canvas_changed(images, 0.0), images)


def test_changed_features_are_the_given_ones_on_average_and_untouched_at_no_strength() -> None:
    torch.manual_seed(3)
    block = torch.randn(4, 5) + 3.0
    spread = block.var(dim=0, unbiased=False).mean().sqrt()
    drawn = torch.stack([consistency.features_changed(block, 1.0) for _ in range(4000)])
    out = (drawn == 0).float().mean()
    assert abs(float(out) - 0.3) < 0.02
    # A column left out or scaled by 1 / 0.7, then the noise: the variance on paper.
    wanted = (block**2 * 0.3 + (0.3 * spread) ** 2) / 0.7
    torch.testing.assert_close(drawn.mean(dim=0), block, atol=5 * float((wanted.max() / 4000).sqrt()), rtol=0.0)
    torch.testing.assert_close(drawn.var(dim=0), wanted, rtol=0.15, atol=0.0)
    assert torch.equal(consistency.features_changed(block, 0.0), block)


@pytest.mark.parametrize("on_canvas", [False, True])
def test_only_sure_rows_count_and_the_slope_goes_through_the_changed_item_alone(on_canvas: bool) -> None:
    model, given = Net(on_canvas), batches(on_canvas)
    with torch.no_grad():
        nobody = goal_of(model, sure=1.0)(model, given)
    assert float(nobody["consistency"]) == 0.0
    assert float(nobody["labels"]) == pytest.approx(
        functional.cross_entropy(model(given["train"].inputs), torch.arange(6) % 2).item(), rel=1e-6
    )
    state = torch.get_rng_state()
    loss = goal_of(model, sure=0.0, strength=1.0)(model, given)["consistency"]
    torch.set_rng_state(state)
    pool = given["pool"].inputs[0]
    weak = consistency.shifted(pool, 0.125) if on_canvas else pool
    strong = (consistency.canvas_changed if on_canvas else consistency.features_changed)(weak, 1.0)
    label = model([weak]).argmax(dim=1)
    wanted = functional.cross_entropy(model([strong]), label)
    torch.testing.assert_close(loss, wanted)
    mine, theirs = (torch.autograd.grad(each, model.head.weight)[0] for each in (loss, wanted))
    torch.testing.assert_close(mine, theirs)
    surest = model([weak]).softmax(dim=1).max(dim=1).values.sort().values
    between = (surest[4] + surest[5]).item() / 2
    torch.set_rng_state(state)
    some = goal_of(model, sure=between)(model, given)["consistency"]
    believed = model([weak]).softmax(dim=1).max(dim=1).values >= between
    assert int(believed.sum()) == 4
    each = functional.cross_entropy(model([strong]), label, reduction="none")
    torch.testing.assert_close(some, each[believed].sum() / 9)
