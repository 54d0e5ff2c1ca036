"""The door: all taps in one pass, nothing changed in place unseen, and frozen means frozen."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest
import torch
from torch import nn

from transfuse.errors import UserError
from transfuse.source.open import make_card, open_source

RESNET = "torchvision:resnet18@random"
SQUEEZE = "torchvision:squeezenet1_1@random"


@pytest.mark.parametrize("spec", [RESNET, SQUEEZE, "torchvision:swin_t@random", "timm:vit_tiny_patch16_224@random"])
def test_every_tap_gives_the_block_its_card_promises(source_of, canvas, spec):
    source = source_of(spec)
    with torch.no_grad():
        blocks = source(canvas, list(source.card.taps))
        assert torch.equal(blocks["logits"], source(canvas))
    for name, tap in source.card.taps.items():
        shape = {"tokens": (2, *tap.size, tap.width), "map": (2, tap.width, *tap.size)}.get(tap.kind, (2, tap.width))
        assert tuple(blocks[name].shape) == shape, name


def test_blocks_in_one_pass_are_those_of_single_passes(source_of, canvas):
    source = source_of(SQUEEZE)
    names = ["features.0", "features.3.squeeze", "map", "vector", "logits"]
    with torch.no_grad():
        together = source(canvas, names)
        assert list(together) == names
        for name in names:
            assert torch.equal(together[name], source(canvas, [name])[name])


def test_a_block_that_a_later_layer_overwrites_is_what_its_layer_computed(source_of, canvas):
    source = source_of("demo:vgg")
    with torch.no_grad():
        blocks = source(canvas, ["features.0", "logits"])
        alone = source.network.features[0](source.prepared(canvas))
    assert (alone < 0).any()
    assert torch.equal(blocks["features.0"], alone)


def test_a_change_in_place_that_the_card_does_not_know_is_refused(source_of, canvas):
    source = source_of(SQUEEZE)
    tap = replace(source.card.taps["features.0"], volatile=False)
    source.card = replace(source.card, taps={**source.card.taps, "features.0": tap})
    with torch.no_grad(), pytest.raises(UserError, match="changed in place"):
        source(canvas, ["features.0", "logits"])


def test_blocks_survive_inference_mode(source_of, canvas):
    source = source_of(SQUEEZE)
    with torch.no_grad():
        expected = source(canvas, ["features.0", "logits"])
    with torch.inference_mode():
        found = source(canvas, ["features.0", "logits"])
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_what_only_later_places_need_is_not_computed(source_of, canvas):
    source = source_of(SQUEEZE)
    called = []
    source.network.classifier.register_forward_hook(lambda *_: called.append(1))
    with torch.no_grad():
        source(canvas, ["map"])
        assert not called
        source(canvas, ["map", "logits"])
    assert called == [1]


def test_an_unknown_tap_offers_the_nearest(source_of, canvas):
    with pytest.raises(UserError, match=r"try: .*layer4"):
        source_of(RESNET)(canvas, ["layer_4"])


@pytest.mark.parametrize("tap", ["vector", "map", "logits"])
def test_gradients_reach_the_canvas(source_of, canvas, tap):
    source, images = source_of(RESNET), canvas.requires_grad_()
    source(images, [tap])[tap].square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_hooks_are_gone_after_success_and_after_failure(source_of, canvas):
    source = source_of(SQUEEZE)
    source.network.features[3].register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(ValueError("planted")))
    count = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in source.modules())
    with pytest.raises(ValueError, match="planted"):
        source(canvas, ["features.0", "map"])
    assert sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in source.modules()) == count


def test_a_source_can_be_copied_and_pickled(source_of, canvas):
    source = source_of(SQUEEZE)
    source.freeze("features.3")
    for other in (copy.deepcopy(source), pickle.loads(pickle.dumps(source))):
        other.train()
        assert not other.network.features[3].training
        other.eval()
        with torch.no_grad():
            assert torch.equal(other(canvas, ["map"])["map"], source(canvas, ["map"])["map"])


def train_a_little(source, canvas):
    source.train()
    trainable = [parameter for parameter in source.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=0.1)
    source(canvas).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("until", ["layer2", "layer2.0.bn1", "vector"])
def test_training_beyond_the_frontier_moves_nothing_before_it(source_of, canvas, until):
    source = source_of(RESNET)
    with torch.no_grad():
        before = source(canvas, [until, "logits"])
    source.freeze(until)
    train_a_little(source, canvas)
    with torch.no_grad():
        assert torch.equal(source(canvas, [until])[until], before[until])  # still in training mode
        source.eval()
        after = source(canvas, [until, "logits"])
    assert torch.equal(after[until], before[until])
    assert not torch.equal(after["logits"], before["logits"])


def test_beyond_the_frontier_everything_trains(source_of):
    source = source_of(RESNET)
    source.freeze("layer2")
    source.train()
    assert source.network.layer3[0].bn1.training
    assert all(parameter.requires_grad for parameter in source.network.layer3.parameters())
    assert not any(parameter.requires_grad for parameter in source.network.layer1.parameters())


def test_parameters_outside_modules_are_frozen_with_what_needs_them(source_of):
    source = source_of("timm:vit_tiny_patch16_224@random")
    source.freeze("blocks.0")
    assert not source.network.cls_token.requires_grad
    assert not source.network.pos_embed.requires_grad
    assert source.network.blocks[1].mlp.fc1.weight.requires_grad


def test_frozen_in_full_means_statistics_and_dropout_too(source_of, canvas):
    source = source_of(SQUEEZE)
    source.freeze()
    source.train()
    with torch.no_grad():
        assert torch.equal(source(canvas), source(canvas))
    assert not any(parameter.requires_grad for parameter in source.parameters())
    nn.Sequential(source).train()
    assert not any(module.training for module in source.modules())


class Halves(nn.Module):
    """Grey images of exactly 16 pixels."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(256, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, images):
        return self.last(torch.tanh(self.first(images.flatten(1))))


def test_a_bound_grey_network_takes_any_canvas(tmp_path, canvas):
    prepare = {"size": 16, "mean": 0.5, "std": 0.5, "channels": 1}
    module = Halves()
    card = make_card("halves", module, root=tmp_path, canvas=64, prepare=prepare)
    assert not card.flexible
    source = open_source(card, root=tmp_path, module=module)
    front, tail = source.cut("first")
    assert source(canvas).shape == (2, 3)
    assert torch.allclose(tail(front(canvas)), source(canvas))
    assert source(canvas, ["vector"])["vector"].shape == (2, 8)
