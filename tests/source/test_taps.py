"""Taps of real architectures: the aliases are where they should be, and a look leaves the network as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from transfuse.errors import UserError
from transfuse.source.taps import find, main_tensor, watched

# spec, vector width and pooling, deep tap and its layout
CASES = [
    ("torchvision:resnet18@random", 512, False, "map", "nchw", 512, (2, 2)),
    ("torchvision:squeezenet1_1@random", 512, True, "map", "nchw", 512, (3, 3)),
    ("torchvision:densenet121@random", 1024, False, "map", "nchw", 1024, (2, 2)),
    ("torchvision:mobilenet_v3_small@random", 1024, False, "map", "nchw", 576, (2, 2)),
    ("torchvision:swin_t@random", 768, False, "map", "nhwc", 768, (2, 2)),
    ("timm:mobilenetv3_small_050@random", 1024, False, "map", "nchw", 288, (2, 2)),
    ("timm:vit_tiny_patch16_224@random", 192, False, "tokens", "plain", 192, (197,)),
]


@pytest.mark.parametrize(("spec", "width", "pooled", "deep", "layout", "channels", "size"), CASES)
def test_the_aliases_lie_where_the_field_puts_them(card_of, spec, width, pooled, deep, layout, channels, size):
    card = card_of(spec)
    assert (card.taps["vector"].width, card.taps["vector"].pooled) == (width, pooled)
    tap = card.taps[deep]
    assert (tap.kind, tap.layout, tap.width, tap.size) == (deep, layout, channels, size)
    assert ("map" in card.taps) != ("tokens" in card.taps)
    assert card.taps["logits"].width == card.class_count == 1000
    assert all(tap.name == name for name, tap in card.taps.items())


def test_what_a_later_layer_changes_in_place_is_volatile(card_of):
    densenet = card_of("torchvision:densenet121@random").taps
    assert densenet["map"].volatile
    squeeze = card_of("torchvision:squeezenet1_1@random").taps
    assert squeeze["features.0"].volatile
    assert not squeeze["features.1"].volatile
    assert not squeeze["map"].volatile


def test_modules_called_twice_have_no_tap(card_of):
    assert "layer1.0.relu" not in card_of("torchvision:resnet18@random").taps
    assert "layer1.0.conv1" in card_of("torchvision:resnet18@random").taps


class Fussy(nn.Module):
    """Has all that a look could disturb: statistics, dropout, modes of its own, and a dict output."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(3, 4)

    def forward(self, images):
        return {"features": images, "logits": self.head(self.drop(self.norm(images).mean((2, 3))))}


def test_a_look_changes_neither_modes_nor_state_nor_the_random_stream():
    network = Fussy().train()
    network.drop.eval()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images, stream = torch.rand(2, 3, 8, 8), torch.get_rng_state()
    taps = find(network, images)
    assert torch.equal(torch.get_rng_state(), stream)
    assert (network.training, network.norm.training, network.drop.training) == (True, True, False)
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert taps["logits"].width == 4


def test_a_network_without_a_classifier_gives_its_output_as_vector():
    taps = find(nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), torch.rand(2, 3, 8, 8))
    assert (taps["vector"].width, taps["vector"].place) == (5, "")


def test_an_output_that_is_no_score_a_class_is_refused():
    with pytest.raises(UserError, match="one score a class"):
        find(nn.Conv2d(3, 5, 3), torch.rand(2, 3, 8, 8), where="here")


def test_a_cube_is_told_by_the_width_of_the_classifier():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(64, 2))
    assert find(network, torch.rand(2, 3, 4, 4))["map"].layout == "nchw"


def test_the_one_obvious_tensor():
    tensor = torch.zeros(1)
    assert main_tensor((tensor, None)) is tensor
    assert main_tensor({"a": torch.ones(1), "logits": tensor}) is tensor
    assert main_tensor([tensor, tensor]) is None
    assert main_tensor(3) is None


def test_calls_are_watched_in_order_of_their_beginning():
    network = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    with watched(network) as calls:
        network(torch.zeros(1, 2))
    assert [call.path for call in calls] == ["", "0", "1", "1.0"]
    assert sorted(calls, key=lambda call: call.end)[-1].path == ""


class Crowd(nn.Module):
    """Takes the batch's mean from every row."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.head, self.share = nn.Linear(3, 4), share

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        vector = images.mean((2, 3))
        return self.head(vector - self.share * vector.mean(0))


def test_a_source_whose_rows_know_of_each_other_is_refused() -> None:
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert find(Crowd(0.0), images)["logits"].width == 4
    with pytest.raises(UserError, match=r"answers an item differently when it is alone(.|\n)*source 'a'"):
        find(Crowd(1.0), images, where="source 'a'")
