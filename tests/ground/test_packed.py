"""Rows of several parts: each part comes back as it was, and nothing else is taken for such rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from transfuse import packed
from transfuse.errors import UserError

RNG = np.random.default_rng(0)
PARTS = {
    "image": RNG.random((3, 3, 4, 4), dtype=np.float32),
    "text": RNG.integers(0, 256, (3, 7)).astype(np.uint8),
    "columns": RNG.integers(0, 256, (3, 5)).astype(np.uint8),
}


@pytest.mark.parametrize("names", [("image", "text"), ("image", "columns"), ("text", "columns"), tuple(PARTS)])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_every_part_comes_back_whatever_rows_are_picked(names, kind):
    rows = kind(packed.packed({name: PARTS[name] for name in names}))
    assert packed.holds(rows)
    for name, wanted in PARTS.items():
        found = packed.part(rows[[2, 0]], name)
        if name in names:
            np.testing.assert_array_equal(np.asarray(found), wanted[[2, 0]].astype(np.float32))
        else:
            assert found is None


def test_a_gradient_comes_through_to_the_image_alone():
    rows = torch.from_numpy(packed.packed(PARTS)).requires_grad_()
    packed.part(rows, "image").square().sum().backward()
    assert rows.grad is not None
    assert packed.part(torch.cat([rows[:, :4], rows.grad[:, 4:]], 1).detach(), "image").abs().sum() > 0
    assert not rows.grad[:, 4 + 3 * 16 :].any()


OTHERS = (
    torch.zeros(2, 9),
    torch.zeros(0, 9),
    torch.zeros(2, 3),
    torch.zeros(2, 9).byte(),
    torch.full((2, 3, 4, 4), -7.0),
    torch.full((2, 9), -7.0).double(),
    None,
    ["text"],
)


@pytest.mark.parametrize("other", OTHERS, ids=range(len(OTHERS)))
def test_anything_else_is_no_such_row(other):
    assert not packed.holds(other)


def test_rows_that_are_torn_or_mixed_are_refused():
    rows = packed.packed(PARTS)
    with pytest.raises(UserError, match="not laid out as they say"):
        packed.sizes(rows[:, :-1])
    rows[1, 3] += 1
    with pytest.raises(UserError, match="not laid out as they say"):
        packed.part(rows, "image")
