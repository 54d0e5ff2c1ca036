"""A wider recipient computes what the source computed, a narrower one keeps the units that count."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from transfuse.errors import UserError
from transfuse.fusion.recipient import received, start_from
from transfuse.fusion.widths import reading_axis

SIDE = 12


class Plain(nn.Module):
    """Convolutions with BatchNorm, a flattened map, two linear layers."""

    def __init__(self, one: int, two: int, hidden: int):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, one, 3, stride=2, padding=1), nn.BatchNorm2d(one)
        self.second = nn.Conv2d(one, two, 3, stride=2, padding=1)
        self.third, self.head = nn.Linear(two * 9, hidden), nn.Linear(hidden, 4)

    def forward(self, x):
        x = torch.relu(self.second(torch.relu(self.norm(self.first(x)))))
        return self.head(torch.relu(self.third(x.flatten(1))))


class Residual(nn.Module):
    """A stream that is added to, through a depthwise, a grouped and a plain convolution."""

    def __init__(self, stream: int, inner: int):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, stream, 3, stride=2, padding=1), nn.BatchNorm2d(stream)
        self.open, self.each = nn.Conv2d(stream, inner, 1), nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.pairs = nn.Conv2d(inner, inner, 1, groups=inner // 2)
        self.close, self.head = nn.Conv2d(inner, stream, 1), nn.Linear(stream, 4)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        x = x + self.close(torch.relu(self.pairs(self.each(self.open(x)))))
        return self.head(x.mean(dim=(2, 3)))


class Joined(nn.Module):
    """Two layers side by side, read by one, as in SqueezeNet and DenseNet."""

    def __init__(self, one: int, two: int):
        super().__init__()
        self.left, self.right = nn.Conv2d(3, one, 1), nn.Conv2d(3, two, 3, padding=1)
        self.mix, self.head = nn.Conv2d(one + two, 6, 1), nn.Linear(6, 4)

    def forward(self, x):
        x = torch.cat([torch.relu(self.left(x)), torch.relu(self.right(x))], 1)
        return self.head(torch.relu(self.mix(x)).mean(dim=(2, 3)))


def made(kind, *widths, seed=0):
    torch.manual_seed(seed)
    network = kind(*widths)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for name in ("weight", "bias", "running_mean", "running_var"):
                nn.init.uniform_(getattr(layer, name), 0.5, 2.0)
    return network.eval()


def door(network):
    return received(network, canvas=SIDE)


IMAGES = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
WIDER = [
    (Plain, (4, 6, 5), (7, 13, 16)),
    (Plain, (4, 6, 5), (4, 6, 9)),
    (Residual, (5, 6), (11, 14)),
    (Joined, (3, 4), (5, 9)),
]


@pytest.mark.parametrize(("kind", "old", "new"), WIDER, ids=lambda one: getattr(one, "__name__", str(one)))
def test_a_wider_network_computes_what_the_source_computed(kind, old, new):
    source, wider = made(kind, *old), made(kind, *new, seed=1)
    taken = start_from(door(wider), door(source))
    assert torch.allclose(wider.eval()(IMAGES), source(IMAGES), atol=1e-5)
    assert set(taken.same) | set(taken.fitted) == set(wider.state_dict())
    assert taken.fitted and taken.widths and not taken.why


def test_copies_of_a_unit_do_not_learn_alike():
    source, wider = made(Plain, 4, 6, 5), made(Plain, 8, 12, 10, seed=1)
    start_from(door(wider), door(source))
    wider(IMAGES).square().sum().backward()
    columns = wider.head.weight
    for unit in range(5):
        copies = [place for place in range(10) if torch.equal(wider.third.bias[place], source.third.bias[unit])]
        assert len(copies) == 2, "an even growth copies every unit once"
        assert torch.allclose(columns[:, copies].sum(dim=1), source.head.weight[:, unit], atol=1e-6)
        assert not torch.allclose(columns[:, copies[0]], columns[:, copies[1]])
    gradients = wider.third.weight.grad
    assert gradients is not None
    assert len({tuple(row.tolist()) for row in gradients if row.any()}) == int(gradients.any(dim=1).sum())


@pytest.mark.parametrize(
    ("kind", "old", "new", "dead"),
    [
        (Plain, (7, 6, 5), (4, 6, 5), {"norm.weight": (1, 2, 5), "norm.bias": (1, 2, 5)}),
        (Plain, (4, 6, 9), (4, 6, 6), {"third.weight": (0, 3, 8), "third.bias": (0, 3, 8)}),
        (Joined, (3, 4), (2, 4), {"left.weight": (1,), "left.bias": (1,)}),
    ],
    ids=["a norm's scale", "incoming weights", "side by side"],
)
def test_a_narrower_network_loses_the_units_that_count_least(kind, old, new, dead):
    source, narrower = made(kind, *old), made(kind, *new, seed=1)
    with torch.no_grad():
        for name, units in dead.items():
            dict(source.named_parameters())[name][list(units)] = 0.0
    start_from(door(narrower), door(source))
    assert torch.allclose(narrower.eval()(IMAGES), source(IMAGES), atol=1e-5)


def test_what_is_read_little_counts_little_too():
    source, narrower = made(Plain, 4, 6, 9), made(Plain, 4, 6, 8, seed=1)
    with torch.no_grad():
        source.head.weight[:, 4] *= 1e-6
    start_from(door(narrower), door(source))
    kept = [unit for unit in range(9) if unit != 4]
    assert torch.equal(narrower.third.weight, source.third.weight[kept])
    assert torch.equal(narrower.head.weight, source.head.weight[:, kept])


def test_wider_here_and_narrower_there_and_what_it_alone_has_stays():
    source, own = made(Plain, 4, 8, 5), made(Plain, 6, 4, 5, seed=1)
    own.head = nn.Linear(5, 9)
    before = copy.deepcopy(own.head.state_dict())
    taken = start_from(door(own), door(source))
    assert sorted(taken.widths) == [(4, 6), (8, 4)]
    assert torch.equal(own.first.weight[:4], source.first.weight)
    assert {name for name in own.state_dict() if name.startswith("head")}.isdisjoint({*taken.same, *taken.fitted})
    assert all(torch.equal(value, before[name]) for name, value in own.head.state_dict().items())


def test_the_same_seed_copies_the_same_units():
    source = door(made(Plain, 4, 6, 5))
    found = [made(Plain, 7, 9, 9, seed=1) for _ in range(3)]
    for network, seed in zip(found, (0, 0, 1), strict=True):
        start_from(door(network), source, seed=seed)
    assert torch.equal(found[0].third.weight, found[1].third.weight)
    assert not torch.equal(found[0].third.weight, found[2].third.weight)


class Unsteady(Plain):
    """Its code looks at its numbers, so it follows no graph."""

    def forward(self, x):
        return super().forward(x) if x.sum() > -1e9 else x


def test_where_widths_cannot_be_followed_what_fits_is_taken_and_the_reason_told():
    source, own = made(Unsteady, 4, 6, 5), made(Plain, 7, 6, 5, seed=1)
    taken = start_from(door(own), door(source))
    assert "trace" in taken.why and not taken.fitted
    assert torch.equal(own.third.weight, source.third.weight)
    with pytest.raises(UserError, match="nothing of the source overlaps"):
        start_from(door(nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 4))), door(source))


def test_where_a_tensor_reads_hidden_units_depends_on_its_layer():
    network = nn.ModuleDict(
        {"c": nn.Conv2d(3, 5, 3), "t": nn.ConvTranspose2d(3, 5, 3), "l": nn.Linear(3, 5), "n": nn.BatchNorm2d(5)}
    )
    found = {name: reading_axis(network, name) for name in ("c.weight", "t.weight", "l.weight", "l.bias", "n.weight")}
    assert found == {"c.weight": 1, "t.weight": 0, "l.weight": 1, "l.bias": None, "n.weight": None}
