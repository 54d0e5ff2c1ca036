"""A source that knows some of the classes is shipped as it was judged: on tensors, from disk, and in a pool."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from transfuse import partial
from transfuse.errors import UserError
from transfuse.fusion import outputs_lift
from transfuse.fusion.graph import PoolGraph
from transfuse.fusion.pooled import Narrowed, Pool, aligned
from transfuse.fusion.saved import load, save

CLASSES = ("a", "b", "c", "d")
KNOWN = np.array([[True, True, False, False], [False, True, True, True]])
OPENINGS = np.array(
    [[0.5, -0.2, 0.1, 0.3, 0.1, -0.2, 0.4, 1.0, 0.7, 0.5], [0.2, 0.0, 0.3, -0.1, 0.0, 0.0, 1.0, 0.5, 0.5, 0.5]]
)
COLUMNS = [[0, 1, 0], [1, 2, 3]]
IMAGES = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def wanted(own: torch.Tensor, number: int) -> np.ndarray:
    q, evidence = partial.grouped(own.numpy(), COLUMNS[number], 4, "logit")
    return partial.opened(q, evidence, KNOWN[number], OPENINGS[number])


def narrowed(source, number: int) -> Narrowed:
    return Narrowed(source, CLASSES, COLUMNS[number], OPENINGS[number]).eval()


@torch.no_grad()
def test_on_tensors_it_is_the_law_in_numpy_and_the_same_from_disk(tiny, tmp_path):
    source = tiny("one")
    for number in range(2):
        model = narrowed(source, number)
        found = model(IMAGES)
        assert np.allclose(found.exp().numpy(), wanted(source(IMAGES), number), atol=1e-6)
        save(model, tmp_path / str(number))
        again = load(tmp_path / str(number), modules={"one": source.network})
        assert torch.allclose(again(IMAGES), found, atol=1e-6)


@torch.no_grad()
def test_a_head_whose_columns_stand_for_all_classes_needs_no_opening(tiny):
    own = tiny("one")(IMAGES)
    found = aligned(own, [0, 1, 1], 2, None).exp().numpy()
    shares = torch.softmax(own, dim=1).numpy()
    assert np.allclose(found, np.stack([shares[:, 0], shares[:, 1] + shares[:, 2]], axis=1), atol=1e-6)


def test_gradients_reach_the_images(tiny):
    images = IMAGES.clone().requires_grad_()
    narrowed(tiny("one"), 0)(images)[:, 2].sum().backward()
    assert images.grad is not None and float(images.grad.abs().max()) > 0


@torch.no_grad()
def test_a_shipped_pool_hears_each_about_its_own_classes_and_has_no_form_as_a_graph(tiny):
    sources = [tiny("one"), tiny("two", seed=1)]
    pool = Pool("both", [narrowed(source, number) for number, source in enumerate(sources)], "outputs/mean_prob",
                {outputs_lift.KNOWN: KNOWN}).eval()  # fmt: skip
    each = np.stack([wanted(source(IMAGES), number) for number, source in enumerate(sources)])
    assert np.allclose(pool(IMAGES).exp().numpy(), partial.shared(each, KNOWN).mean(axis=0), atol=1e-6)
    with pytest.raises(UserError, match="know different classes"):
        PoolGraph(pool)
