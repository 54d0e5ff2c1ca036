"""Any stretch of a network runs on its own: by its graph, or by hooks where its code follows none."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from transfuse.errors import UserError
from transfuse.source.hooked import by_hooks
from transfuse.source.open import make_card, open_source
from transfuse.source.sections import section

STRETCHES = [
    ("demo:residual", "features.4", "features.6"),
    ("demo:residual", "features.5", "vector"),
    ("demo:residual", None, "features.5"),
    ("demo:vgg", "features.7", "vector"),
]


@pytest.mark.parametrize(("spec", "begin", "end"), STRETCHES)
def test_a_stretch_computes_what_the_whole_does_there(source_of, canvas, spec, begin, end):
    source = source_of(spec)
    taps = [end] if begin is None else [begin, end]
    with torch.no_grad():
        blocks = source(canvas, taps)
        given = canvas if begin is None else blocks[begin]
        kept = given.clone()
        made = section(source, begin, end)
        assert (made(given) - blocks[end]).abs().max() <= 1e-5 * blocks[end].abs().max()
        assert torch.equal(given, kept)
    own = {id(parameter) for parameter in source.parameters()}
    assert all(id(parameter) in own for parameter in made.parameters())


@pytest.mark.parametrize(
    ("begin", "end"), [("features.5", "vector"), ("features.4", "features.6"), (None, "features.5")]
)
def test_hooks_give_what_the_graph_gives(source_of, canvas, begin, end):
    source = source_of("demo:residual")
    first, last = None if begin is None else source.card.tap(begin), source.card.tap(end)
    hooked = by_hooks(source.network, source.prepared(canvas), first, last, where="")
    with torch.no_grad():
        given = source.prepared(canvas) if begin is None else source(canvas, [begin])[begin]
        raw = hooked(given[:1])
        wanted = source(canvas[:1], [end])[end]
    assert torch.allclose(raw.flatten(1), wanted.flatten(1), atol=1e-5)
    assert not any(module._forward_hooks or "forward" in module.__dict__ for module in source.network.modules())


class Branching(nn.Module):
    """Decides by value, which no fixed graph can follow."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.side = nn.Conv2d(4, 4, 1)
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(4))
        self.last = nn.Conv2d(4, 5, 3, stride=2)
        self.head = nn.Linear(5, 3)

    def forward(self, images):
        x = self.stem(images)
        if x.sum() > 1e9:
            x = x * 2
        y = self.body(x)
        return self.head(self.last(y + self.side(y)).mean((2, 3)))


@pytest.fixture(scope="module")
def branching():
    from pathlib import Path

    torch.manual_seed(0)
    module = Branching().eval()
    card = make_card("branching", module, root=Path(), canvas=16)
    return open_source(card, root=Path(), module=module)


def test_a_network_without_a_graph_is_divided_by_hooks(branching):
    canvas = torch.rand(3, 3, 16, 16)
    assert not branching.card.cuttable
    assert {name for name, tap in branching.card.taps.items() if tap.cut} >= {"stem", "body", "last"}
    with torch.no_grad():
        blocks = branching(canvas, ["body", "vector"])
        assert torch.allclose(section(branching, "body", "vector")(blocks["body"]), blocks["vector"], atol=1e-6)


def test_hooks_name_what_crosses(branching):
    assert not branching.card.tap("side").cut
    with pytest.raises(UserError, match=r"(?s)no cut at 'side'.*- body.*- side"):
        section(branching, "side", "vector")
    with pytest.raises(UserError, match="does not follow from"):
        section(branching, "last", "body")


def test_gradients_pass_a_hooked_stretch_and_a_copy_is_its_own(branching):
    made = section(branching, "body", "vector")
    block = torch.rand(2, 4, 16, 16, requires_grad=True)
    made(block).sum().backward()
    assert block.grad.abs().sum() > 0
    twin = copy.deepcopy(made)
    with torch.no_grad():
        twin.part.network.last.weight.zero_()
        assert not torch.equal(made(block), twin(block))


def test_a_block_that_does_not_enter_is_one_clean_message(source_of):
    made = section(source_of("demo:residual"), "features.5", "vector")
    with pytest.raises(UserError, match=r"(?s)features.5 → .*vector.*\[2, 64, 8, 8\]"):
        made(torch.rand(2, 64, 8, 8))
