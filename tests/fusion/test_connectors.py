"""Connectors lead any kind of block into any place, one item at a time, at any grid."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.fusion.connectors import Connector, End, as_map, grid_of, resized

ENDS = {
    "map": End("a.map", "map", 6, (8, 8)),
    "tokens": End("a.tokens", "tokens", 5, (17,)),
    "plain tokens": End("a.plain", "tokens", 4, (16,)),
    "words": End("a.words", "tokens", 4, (7,)),
    "vector": End("a.vector", "vector", 7),
    "bound map": End("a.bound", "map", 3, (4, 4), flexible=False),
}


def shape(end, grid=None):
    sizes = end.size if grid is None or end.kind == "vector" else grid
    return (*sizes, end.width) if end.kind == "tokens" else (end.width, *sizes)


def block(end, rows=3, grid=None):
    return torch.randn(rows, *shape(end, grid), generator=torch.Generator().manual_seed(rows))


@pytest.mark.parametrize(("source", "target"), list(product(ENDS, ENDS)))
def test_every_kind_leads_into_every_kind(source, target):
    given, wanted = ENDS[source], ENDS[target]
    connector = Connector(given, wanted).eval()
    found = connector(block(given))
    assert tuple(found.shape) == (3, *shape(wanted))
    assert torch.allclose(connector(block(given)[:1]), found[:1], atol=1e-5)
    like = block(wanted)
    assert connector(block(given), like).shape == like.shape


def test_the_grid_grows_with_the_canvas_where_the_place_allows_it():
    free, bound = (Connector(ENDS["map"], ENDS[name]) for name in ("map", "bound map"))
    larger = torch.randn(2, 6, 12, 16)
    assert free(larger).shape == (2, 6, 12, 16)
    assert bound(larger).shape == (2, 3, 4, 4)


@settings(deadline=None, max_examples=30)
@given(side=st.integers(1, 12), prefix=st.sampled_from([0, 1, 2, 4, 5]), width=st.integers(1, 4))
def test_tokens_lie_on_their_grid_row_by_row(side, prefix, width):
    found = grid_of(side * side + prefix)
    assert found is not None
    assert found[1] ** 2 + found[0] == side * side + prefix
    plane = torch.randn(2, width, side, side)
    tokens = torch.cat([torch.zeros(2, prefix, width), plane.flatten(2).transpose(1, 2)], dim=1)
    if found[0] == prefix:
        assert torch.equal(as_map(tokens), plane)


@settings(deadline=None, max_examples=30)
@given(before=st.integers(1, 9), after=st.integers(1, 9))
def test_resizing_keeps_constants_and_commutes_with_a_projection(before, after):
    generator = torch.Generator().manual_seed(before * 10 + after)
    plane, matrix = torch.randn(2, 3, before, before, generator=generator), torch.randn(4, 3, generator=generator)
    assert torch.allclose(resized(torch.full((1, 1, before, before), 2.5), (after, after)), torch.tensor(2.5))
    first = torch.einsum("oc,ncyx->noyx", matrix, resized(plane, (after, after)))
    assert torch.allclose(first, resized(torch.einsum("oc,ncyx->noyx", matrix, plane), (after, after)), atol=1e-5)


def test_a_constant_block_gives_finite_numbers_and_gradients():
    connector = Connector(ENDS["map"], ENDS["tokens"])
    connector(torch.zeros(2, 6, 8, 8)).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in connector.parameters())
