"""A network of the user's own receives sources: as it is, with its past, and with what it shares with a source."""

from __future__ import annotations

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn

from transfuse.errors import UserError
from transfuse.fusion.connect import connect
from transfuse.fusion.recipient import carry_on, received, take_over
from transfuse.fusion.saved import load, save

CLASSES = ("cat", "dog", "owl")


class Own(nn.Module):
    """A recipient whose layers have the very names that the fusion uses."""

    def __init__(self):
        super().__init__()
        self.members = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU())
        self.crown = nn.Sequential(nn.Conv2d(5, 6, 3, stride=2, padding=1), nn.ReLU())
        self.network = nn.Sequential(nn.Conv2d(6, 7, 3, stride=2, padding=1), nn.ReLU())
        self.head = nn.Linear(7, 3)

    def forward(self, images):
        return self.head(self.network(self.crown(self.members(images))).mean(dim=(2, 3)))


@pytest.fixture
def own():
    torch.manual_seed(3)
    return Own()


def joined(method, members, module, **settings):
    return connect(method, members, None, CLASSES, settings=settings, recipient=received(module, canvas=16))


def features(module, canvas):
    module = module.eval()
    return module.network(module.crown(module.members(canvas))).mean(dim=(2, 3))


@pytest.mark.parametrize("method", ["structure/lateral", "structure/graft", "structure/alone"])
def test_it_starts_as_the_recipient_and_learns_in_it_only(method, members, own, canvas):
    for source in members.values():
        source.freeze(None)
    model = joined(method, members, own).eval()
    assert torch.allclose(model(canvas, ["fused"])["fused"], features(own, canvas), atol=1e-5)
    nn.init.normal_(model.crown.head.weight)
    before = {name: copy.deepcopy(source.state_dict()) for name, source in members.items()}
    model.train()(canvas).square().sum().backward()
    assert own.members[0].weight.grad.abs().sum() > 0, "the module itself learns, not a copy"
    for name, source in members.items():
        assert all(torch.equal(value, before[name][key]) for key, value in source.state_dict().items())


@pytest.mark.parametrize("method", ["structure/lateral", "structure/alone"])
def test_without_sources_it_is_the_recipient_alone(method, own, canvas):
    model = joined(method, {}, own).eval()
    assert torch.allclose(model(canvas, ["fused"])["fused"], features(own, canvas), atol=1e-5)


@pytest.mark.parametrize("method", ["features/concat", "structure/share", "structure/lora"])
def test_methods_without_a_place_for_it_say_so(method, members, own):
    with pytest.raises(UserError, match="no place for a recipient"):
        joined(method, members, own)


def test_it_is_saved_with_what_it_learned_and_given_again(members, own, canvas, tmp_path):
    model = joined("structure/lateral", members, own).eval()
    nn.init.normal_(model.crown.head.weight)
    save(model, tmp_path)
    modules = {name: source.network for name, source in members.items()}
    found = load(tmp_path, modules=modules | {"recipient": Own()})
    assert torch.equal(found(canvas), model(canvas))
    with pytest.raises(UserError, match="'recipient' was given in Python"):
        load(tmp_path, modules=modules)


def test_what_overlaps_by_name_and_shape_is_taken_over_and_nothing_else(own):
    before = copy.deepcopy(own.state_dict())
    other = Own().state_dict()
    state = OrderedDict((f"module.{name}", value) for name, value in other.items())
    state["module.head.weight"] = torch.zeros(9, 7)
    taken = take_over(own, state)
    assert set(taken) == set(before) - {"head.weight"}
    assert all(torch.equal(own.state_dict()[name], other[name]) for name in taken)
    assert torch.equal(own.head.weight, before["head.weight"])
    with pytest.raises(UserError, match="nothing of the source overlaps"):
        take_over(own, {"stem.weight": torch.zeros(2)})


def test_its_optimiser_goes_on_with_its_moments(members, own, canvas):
    for source in members.values():
        source.freeze(None)
    optimiser = torch.optim.AdamW(own.parameters(), 1e-3)
    own(canvas).square().sum().backward()
    optimiser.step()
    optimiser.zero_grad()
    moment = optimiser.state[own.members[0].weight]["exp_avg"].clone()
    model = joined("structure/lateral", members, own)
    new = carry_on(optimiser, model, lr=1e-2)
    assert new == sum(one.requires_grad for one in model.parameters()) - len(
        [one for one in own.parameters() if any(one is other for other in model.parameters())]
    )
    assert carry_on(optimiser, model) == 0
    assert torch.equal(optimiser.state[own.members[0].weight]["exp_avg"], moment)
    nn.init.normal_(model.crown.head.weight)
    head = model.crown.head.weight.clone()
    model.train()(canvas).square().sum().backward()
    optimiser.step()
    assert optimiser.state[own.members[0].weight]["step"] == 2
    assert not torch.equal(model.crown.head.weight, head)


def test_the_tree_tells_origins_and_what_is_frozen(members, own):
    members["wide"].freeze(None)
    members["fine"].freeze("early")
    text = str(joined("structure/lateral", members, own))
    lines = text.splitlines()
    assert "structure/lateral → 3 classes" in lines[0]
    assert any(line.startswith("├─ wide: module:Tiny") and line.endswith(", frozen") for line in lines)
    assert any(line.startswith("├─ fine:") and line.endswith(", partly frozen") for line in lines)
    assert any(line.startswith("├─ recipient: module:Own") for line in lines)
    assert "recipient's own" in text
    stitched = str(connect("structure/stitch", members, None, CLASSES))
    assert "tail: from fine: fine." in stitched
