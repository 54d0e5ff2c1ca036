"""What each feature fuser promises beyond the common contract."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.feature_selection import f_classif
from torch import nn
from torch.nn import functional

from transfuse.errors import UserError
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


def maps(sides=(8, 4, 4, 2), rows: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(rows, 3 + index, side, side, generator=generator) for index, side in enumerate(sides)]


def test_a_pyramid_adds_levels_from_the_coarsest_to_the_finest():
    network = fuser("pyramid", widths=(3, 4, 5, 6), width=8)
    laterals = [lateral(block) for lateral, block in zip(network.laterals, maps(), strict=True)]
    coarse = laterals[3]
    middle = laterals[1] + laterals[2] + functional.interpolate(coarse, size=(4, 4))
    fine = laterals[0] + functional.interpolate(middle, size=(8, 8))
    wanted = sum(torch.relu(network.smooth(level)).mean(dim=(2, 3)) for level in (coarse, middle, fine)) / 3
    assert torch.allclose(network(maps()), wanted, atol=1e-5)


def test_a_pyramid_does_not_care_in_which_order_levels_are_read():
    network = fuser("pyramid", widths=(3, 4, 5, 6), width=8)
    turned = fuser("pyramid", widths=(6, 5, 4, 3), width=8)
    turned.smooth.load_state_dict(network.smooth.state_dict())
    for place in range(4):
        turned.laterals[place].load_state_dict(network.laterals[3 - place].state_dict())
    assert torch.allclose(turned(maps()[::-1]), network(maps()), atol=1e-5)


def test_compressed_taps_are_normed_layer_by_layer_before_the_joint_layer():
    network = fuser("combo", columns=4, width=8)
    columns = [functional.layer_norm(part(block), (4,)) for part, block in zip(network.compress, blocks(), strict=True)]
    wanted = functional.gelu(network.joint(torch.cat(columns, dim=1)))
    assert torch.allclose(network(blocks()), wanted, atol=1e-5)
    loud = [blocks()[0], 1000 * blocks()[1], blocks()[2]]
    assert network(loud).abs().max() < 20


@pytest.mark.parametrize("columns", [2, 4, 100])
def test_reduced_blocks_are_scikit_learns_principal_components(columns):
    network, rows = fuser("pca_concat", columns=columns), blocks(rows=40)
    network.fit(rows, None)
    found, start = network(rows).numpy(), 0
    for block in rows:
        wanted = PCA(min(columns, block.shape[1]), svd_solver="full").fit_transform(block.numpy())
        wanted = wanted / np.sqrt(np.mean(wanted**2))
        part = found[:, start : start + wanted.shape[1]]
        np.testing.assert_allclose(np.abs(part), np.abs(wanted), atol=1e-4)
        start += wanted.shape[1]
    assert start == network.width == found.shape[1]


def test_new_rows_pass_through_what_was_fitted_to_others():
    network = fuser("pca_concat", columns=2)
    network.fit(blocks(rows=40), None)
    before = network(blocks())
    assert torch.equal(network(blocks()), before)
    network.fit([block[:20] for block in blocks(rows=40)], None)
    assert not torch.allclose(network(blocks()), before, atol=1e-3)


def planted() -> tuple[list[torch.Tensor], torch.Tensor]:
    """Three blocks of noise; columns 1 and 3 of the first and column 0 of the last tell the classes."""
    targets = torch.arange(60) % 3
    found = blocks(rows=60)
    for block, column in ((0, 1), (0, 3), (2, 0)):
        found[block][:, column] += 3 * targets
    found[1][:, 2] = 7.0
    return found, targets


def test_selection_finds_the_planted_columns_whatever_block_they_lie_in():
    network = fuser("select", keep=3)
    network.fit(*planted())
    assert network.kept.tolist() == [1, 3, 8]
    assert torch.equal(network(planted()[0]), torch.cat(planted()[0], dim=1)[:, [1, 3, 8]])


def test_selection_scores_are_scikit_learns_f_values():
    rows, targets = planted()
    ratio = method("features/select").load().variance_ratio
    wanted, _ = f_classif(rows[0].numpy().astype(np.float64), targets.numpy())
    np.testing.assert_allclose(ratio(rows[0], targets).numpy(), wanted, rtol=1e-9)
    assert ratio(rows[1], targets)[2] == 0.0


def test_whole_blocks_are_kept_or_silenced_in_their_place():
    network = fuser("select", keep=1, unit="blocks")
    network.fit(*planted())
    rows = planted()[0]
    assert network.kept.tolist() == [0]
    assert torch.equal(network(rows), torch.cat([rows[0], 0 * rows[1], 0 * rows[2]], dim=1))


@pytest.mark.parametrize(("unit", "keep", "most"), [("columns", 13, 12), ("blocks", 4, 3)])
def test_more_than_there_is_cannot_be_kept(unit, keep, most):
    with pytest.raises(UserError, match=f"cannot keep more {unit}") as caught:
        fuser("select", keep=keep, unit=unit)
    assert (caught.value.expected, caught.value.got) == (f"1 to {most}", str(keep))
    assert fuser("select", keep=most, unit=unit).width == 12


def test_a_quarter_is_kept_by_default_and_at_least_one():
    assert fuser("select").width == 3
    assert fuser("select", widths=(2,)).width == 1


def test_selection_by_classes_needs_classes():
    for targets in (None, torch.rand(6), torch.rand(6, 2)):
        with pytest.raises(UserError, match="scores columns by classes"):
            fuser("select").fit(blocks(), targets)
