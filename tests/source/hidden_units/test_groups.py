"""Groups of axes found by tracing: any turn they allow leaves the function alone; what cannot be followed is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from transfuse.demo.networks import ResidualBlock, build
from transfuse.errors import UserError
from transfuse.fusion.align import weight_matching
from transfuse.fusion.turning import drawn, turned
from transfuse.seeds import stream
from transfuse.source.hidden_units.groups import find_groups


def state_of(network):
    return {name: value.detach().numpy().copy() for name, value in network.state_dict().items()}


def filled(network, state):
    network.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in state.items()})
    return network


def lively(make):
    """A network in evaluation mode whose norms are no identity, from a fixed stream."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = make().eval()
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                nn.init.normal_(module.running_mean)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
            if isinstance(module, nn.modules.batchnorm._BatchNorm | nn.LayerNorm | nn.GroupNorm):
                nn.init.normal_(module.weight, 1.0, 0.2)
                nn.init.normal_(module.bias, 0.0, 0.2)
    return network


class Grouped(nn.Module):
    """Grouped convolutions in a row, a group norm, a gate on channels, and a concatenation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.first = nn.Conv2d(12, 24, 3, padding=1, groups=4, bias=False)
        self.norm = nn.GroupNorm(4, 24)
        self.second = nn.Conv2d(24, 12, 3, padding=1, groups=4)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(12, 5, 1), nn.ReLU(), nn.Conv2d(5, 12, 1))
        self.head = nn.Linear(24, 4)

    def forward(self, images):
        maps = self.stem(images).relu()
        deep = self.second(functional.relu(self.norm(self.first(maps))))
        deep = deep * self.gate(deep).sigmoid()
        return self.head(torch.cat([maps, deep], dim=1).mean((2, 3)))


class Written(nn.Module):
    """Attention written out by hand, with separate queries, keys and values."""

    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.randn(1, 5, 12))
        self.into = nn.Linear(6, 12)
        self.query, self.key, self.value, self.out = (nn.Linear(12, 12) for _ in range(4))
        self.norm = nn.LayerNorm(12)
        self.head = nn.Linear(12, 3)

    def forward(self, tokens):
        x = self.into(tokens) + self.place
        n, t, e = x.shape
        q, k, v = (layer(x).view(n, t, 3, e // 3).transpose(1, 2) for layer in (self.query, self.key, self.value))
        weights = (q @ k.transpose(-2, -1) * 0.5).softmax(dim=-1)
        x = self.norm(x + self.out((weights @ v).transpose(1, 2).reshape(n, t, e)))
        return self.head(x.mean(dim=1))


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 5))


def vgg_bn():
    layers: list[nn.Module] = []
    for before, after in ((3, 8), (8, 12), (12, 16)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        layers += [nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 5))


def resnet(blocks, width):
    """ResNet18 and ResNet20 as their papers have them, but narrow."""

    def make():
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        before = width
        for stage, count in enumerate(blocks):
            for number in range(count):
                after = width << stage
                layers.append(ResidualBlock(before, after, 2 if stage and not number else 1))
                before = after
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 5))

    return make


class Block(nn.Module):
    """A transformer block as vision transformers have it: one projection for queries, keys and values."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.LayerNorm(24), nn.LayerNorm(24)
        self.qkv, self.proj = nn.Linear(24, 72), nn.Linear(24, 24)
        self.mlp = nn.Sequential(nn.Linear(24, 40), nn.GELU(), nn.Linear(40, 24))

    def forward(self, x):
        n, t, e = x.shape
        q, k, v = self.qkv(self.first(x)).reshape(n, t, 3, 4, e // 4).permute(2, 0, 3, 1, 4).unbind(0)
        x = x + self.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, e))
        return x + self.mlp(self.second(x))


class ViT(nn.Module):
    """Patches, a class token, positions, two blocks, a head."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 24, 8, stride=8)
        self.token, self.place = nn.Parameter(torch.randn(1, 1, 24)), nn.Parameter(torch.randn(1, 17, 24))
        self.blocks = nn.Sequential(Block(), Block())
        self.norm, self.head = nn.LayerNorm(24), nn.Linear(24, 5)

    def forward(self, images):
        x = self.embed(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.place
        return self.head(self.norm(self.blocks(x))[:, 0])


class Encoder(nn.Module):
    """torch's own attention module, which the trace keeps whole."""

    def __init__(self):
        super().__init__()
        self.into, self.attend = nn.Linear(6, 12), nn.MultiheadAttention(12, 3, batch_first=True)
        self.norm, self.head = nn.LayerNorm(12), nn.Linear(12, 3)

    def forward(self, x):
        x = self.into(x)
        return self.head(self.norm(x + self.attend(x, x, x, need_weights=False)[0]).mean(dim=1))


CASES = [
    (mlp, (2, 3, 4, 4), 2),
    (vgg_bn, (2, 3, 16, 16), 4),
    (resnet((2, 2, 2, 2), 6), (2, 3, 16, 16), 12),
    (resnet((3, 3, 3), 6), (2, 3, 16, 16), 12),
    (lambda: build("residual"), (2, 1, 12, 12), 7),
    (lambda: build("depthwise"), (2, 1, 12, 12), 6),
    (ViT, (2, 3, 32, 32), 5),
    (Encoder, (2, 5, 6), 2),
    (Grouped, (2, 3, 8, 8), 2),
    (Written, (2, 5, 6), 2),
]


@pytest.mark.parametrize(
    ("make", "shape", "orders"),
    CASES,
    ids=["mlp", "vgg_bn", "resnet18", "resnet20", "residual", "depthwise", "vit", "encoder", "grouped", "written"],
)
def test_any_turn_keeps_the_function_and_is_recovered_exactly(make, shape, orders):
    network = lively(make)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    groups = find_groups(network, images)
    assert len(groups.orders) == orders
    state, before = state_of(network), network(images)
    for seed in range(2):
        turn = drawn(groups, stream("planted", seed))
        moved = {name: turned(groups, turn, name, array) for name, array in state.items()}
        assert sum(not np.array_equal(moved[name], state[name]) for name in state) > len(state) // 4
        assert (filled(network, moved)(images) - before).abs().max() <= 1e-4 * before.abs().max()
        back = weight_matching.match(groups, state, moved, {}, stream("test", seed))
        for name, array in moved.items():
            assert np.array_equal(turned(groups, back, name, array), state[name])


def test_a_stage_of_residual_blocks_is_one_stream():
    groups = find_groups(lively(resnet((2, 2, 2, 2), 6)), torch.randn(2, 3, 16, 16))
    assert sorted(groups.orders) == sorted([6, 12, 24, 48] * 3)
    names = ("0.weight", "1.bias", "3.body.3.weight", "4.body.4.running_var")
    assert len({groups.axes[name][0][0].part for name in names}) == 1


def test_heads_go_as_wholes_and_their_units_apart():
    groups = find_groups(lively(ViT), torch.randn(2, 3, 32, 32))
    heads = [order for order, count in enumerate(groups.orders) if count == 4]
    assert len(heads) == 2
    assert all([groups.parts[part][1] for part in groups.of_order(order)] == [6, 6] for order in heads)
    (piece,) = groups.axes["blocks.0.proj.weight"][0]
    assert groups.size(piece.part) == 24 and piece.part == groups.axes["embed.weight"][0][0].part


def test_what_cannot_be_followed_stays_and_says_why():
    class Rolled(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(8, 9), nn.Linear(9, 2)

        def forward(self, x):
            return self.c(self.b(torch.roll(self.a(x), 1, dims=1)).relu())

    network = lively(Rolled)
    groups = find_groups(network, torch.randn(2, 6))
    assert groups.orders == (9,)
    assert any("'roll' is an operation" in why for name, why in groups.pinned if name == "a.weight")


def test_nothing_to_turn_and_nothing_to_trace_are_refused():
    with pytest.raises(UserError, match="no hidden unit"):
        find_groups(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.randn(2, 3, 2, 2))

    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(UserError, match="fixed graph"):
        find_groups(Branching(), torch.randn(2, 3))


def test_a_layer_used_twice_has_one_order():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.into, self.again, self.out = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)

        def forward(self, x):
            return self.out(self.again(self.again(self.into(x)).relu()).relu())

    network = lively(Tied)
    x = torch.randn(3, 4)
    groups = find_groups(network, x)
    before, state = network(x), state_of(network)
    assert groups.orders == (6,)
    turn = drawn(groups, stream("tied"))
    after = filled(network, {name: turned(groups, turn, name, array) for name, array in state.items()})(x)
    assert torch.allclose(before, after, atol=1e-6)
