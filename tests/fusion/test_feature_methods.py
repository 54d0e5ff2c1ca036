"""What each feature fuser promises beyond the common contract."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from transfuse.registry import method

WIDTHS = (5, 3, 4)


def fuser(name: str, widths=WIDTHS, **given) -> nn.Module:
    entry = method(f"features/{name}")
    torch.manual_seed(0)
    return entry.load().Fuser(widths, **entry.settings(given)).eval()


def blocks(widths=WIDTHS, rows: int = 6) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(rows, width, generator=generator) for width in widths]


def test_a_scalar_mix_starts_as_the_mean_of_the_adapted_blocks():
    mix = fuser("scalar_mix", width=8)
    adapted = [adapter(block) for adapter, block in zip(mix.adapters, blocks(), strict=True)]
    assert torch.allclose(mix(blocks()), torch.stack(adapted).mean(dim=0), atol=1e-6)


def test_a_scalar_mix_with_one_loud_weight_is_that_source():
    mix = fuser("scalar_mix", width=8)
    with torch.no_grad():
        mix.weights.copy_(torch.tensor([0.0, 50.0, 0.0]))
    assert torch.allclose(mix(blocks()), mix.adapters[1](blocks()[1]), atol=1e-5)


def test_bilinear_products_are_the_sum_over_pairs():
    pool = fuser("bilinear", rank=7)
    hidden = [torch.tanh(factor(block)) for factor, block in zip(pool.factors, blocks(), strict=True)]
    pairs = hidden[0] * hidden[1] + hidden[0] * hidden[2] + hidden[1] * hidden[2]
    expected = torch.cat([sum(hidden), pool.products(pairs)], dim=1)
    assert torch.allclose(pool(blocks()), expected, atol=1e-5)


def test_bilinear_of_one_source_has_no_products():
    found = fuser("bilinear", widths=(5,), rank=7)(blocks()[:1])
    assert torch.allclose(found[:, 7:], torch.zeros(6, 7), atol=1e-6) and (found[:, :7] != 0).all()


def test_cross_attention_starts_from_its_leader_alone_and_then_opens():
    network = fuser("cross_attention", width=8)
    changed = [blocks()[0], *(2 * block for block in blocks()[1:])]
    assert torch.equal(network(blocks()), network(changed))
    with torch.no_grad():
        network.opening.fill_(1.0)
    assert not torch.allclose(network(blocks()), network(changed), atol=1e-3)


@pytest.mark.parametrize(("top", "counted"), [(1, 1), (2, 2), (0, 3), (9, 3)])
def test_a_mixture_counts_the_top_sources_only(top, counted):
    network = fuser("mixture", width=8, top=top)
    with torch.no_grad():
        nn.init.normal_(network.router.weight)
    shares = network.shares(blocks())
    assert ((shares > 0).sum(dim=1) == counted).all()
    assert torch.allclose(shares.sum(dim=1), torch.ones(6))


def test_a_source_that_does_not_count_changes_nothing():
    network = fuser("mixture", width=8, top=1)
    with torch.no_grad():
        network.router.bias.copy_(torch.tensor([0.0, 9.0, 0.0]))
    changed = [7 * blocks()[0], blocks()[1], blocks()[2]]
    assert torch.equal(network(blocks()), network(changed))


@pytest.mark.parametrize("width", [8, 10, 9, 128])
def test_attention_takes_any_width(width):
    assert fuser("attention", width=width)(blocks()).shape == (6, width)


def test_attention_shares_follow_the_query():
    network = fuser("attention", width=8)
    with torch.no_grad():
        network.query.mul_(100)
    assert network.shares(blocks()).max() > 0.5
