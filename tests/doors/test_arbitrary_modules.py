"""`fuse` on whatever modules people have: any output, any number, frozen or not; or one clear message."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from transfuse import fuse
from transfuse.errors import UserError


class Odd(nn.Module):
    """Changes values in place, and answers as `how` says."""

    def __init__(self, how="tensor", width=4):
        super().__init__()
        self.how = how
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.deep = nn.Conv2d(width, width + 1, 3, stride=2, padding=1)
        self.head = nn.Linear(width + 1, 3)

    def forward(self, images):
        x = self.deep(self.act(self.stem(images)))
        logits = self.head(x.mean(dim=(2, 3)))
        return {"tensor": logits, "dict": {"logits": logits, "map": x}, "tuple": (logits,)}[self.how]


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, stride=4)
        self.layers = nn.Sequential(
            *(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0) for _ in "ab")
        )
        self.head = nn.Linear(8, 3)

    def forward(self, images):
        tokens = self.layers(self.patch(images).flatten(2).transpose(1, 2))
        return self.head(tokens.mean(dim=1))


@pytest.fixture
def images():
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("how", ["tensor", "dict", "tuple"])
@pytest.mark.parametrize("method", ["features/concat", "structure/lateral", "structure/stitch"])
def test_outputs_of_any_form_and_layers_in_place(how, method, images):
    model = fuse({"a": Odd(how), "b": Odd(how, 6)}, method, classes=2, canvas=16)
    assert model.eval()(images).shape == (2, 2)


def test_a_tap_is_named_or_pointed_at(images):
    sources = {"a": Odd(), "b": Odd(width=6)}
    named = fuse(sources, "structure/share", classes=2, canvas=16, taps={"a": "act", "b": "deep"})
    pointed = fuse(
        sources, "structure/share", classes=2, canvas=16, taps={"a": lambda net: net.act, "b": lambda net: net.deep}
    )
    assert named.reads == pointed.reads
    assert torch.equal(named.eval()(images), pointed.eval()(images))
    with pytest.raises(UserError, match="points at no part"):
        fuse(sources, "structure/share", classes=2, canvas=16, taps={"a": lambda net: nn.ReLU()})


@pytest.mark.parametrize("method", ["features/gate", "structure/share", "structure/cross_stitch", "structure/side"])
def test_twelve_sources(method, images):
    model = fuse({f"s{index}": Odd(width=3) for index in range(12)}, method, classes=2, canvas=16)
    assert model.eval()(images).shape == (2, 2)


@pytest.mark.parametrize("method", ["structure/share", "structure/lateral", "structure/graft", "structure/stitch"])
def test_tokens_meet_maps_both_ways(method, images):
    for order in (("maps", "tokens"), ("tokens", "maps")):
        made = {"maps": Odd(), "tokens": Tokens()}
        model = fuse({name: made[name] for name in order}, method, classes=2, canvas=16)
        assert model.eval()(images).shape == (2, 2)


def test_everything_frozen_nothing_learns_and_training_says_so(images):
    model = fuse({"a": Odd(), "b": Odd(width=6)}, "structure/cross_stitch", classes=2, canvas=16)
    model.freeze()
    assert not any(parameter.requires_grad for parameter in model.parameters())
    with pytest.raises(RuntimeError, match="does not require grad"):
        model.train()(images).sum().backward()


def test_one_source_and_a_second_fusion_of_it(images):
    inner = fuse([Odd()], "structure/share", classes=2, canvas=16)
    outer = fuse({"inner": inner, "more": Odd(width=5)}, "features/concat", classes=2, canvas=16)
    assert outer.eval()(images).shape == (2, 2)
    with pytest.raises(UserError, match="unknown tap 'dep'"):
        fuse({"a": Odd()}, "structure/share", classes=2, canvas=16, taps={"a": "dep"})
