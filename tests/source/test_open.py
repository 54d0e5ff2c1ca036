"""From spec to card to source: what decides a card, what is refused, and that weights are those of the card."""

from __future__ import annotations

import json
import urllib.error
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from transfuse.errors import UnsafeFileError, UserError
from transfuse.source.open import identity, make_card, open_source
from transfuse.types import Prepare

CARD = {"size": 32, "mean": 0.5, "std": 0.5}
ARCH = "?arch=torchvision:squeezenet1_1&classes=3"


def small_state():
    import torchvision

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torchvision.models.squeezenet1_1(num_classes=3).state_dict()


@pytest.fixture(scope="module")
def weights():
    return small_state()


def saved(path, weights, **stated):
    save_file(weights, path, metadata={"transfuse.card": json.dumps(stated)} if stated else None)
    return f"file:{path.name}{ARCH}"


def test_identity_follows_the_content_of_files_not_their_names(tmp_path, weights):
    spec = saved(tmp_path / "w.safetensors", weights)
    first = identity(spec, tmp_path)
    assert set(first["versions"]) == {"torch", "torchvision", "timm"}
    assert identity(spec, tmp_path) == first
    saved(tmp_path / "w.safetensors", {**weights, "classifier.1.bias": torch.ones(3)})
    assert identity(spec, tmp_path)["files"] != first["files"]


def test_a_missing_file_is_one_clean_message(tmp_path):
    for look in (
        lambda: identity(f"file:gone.pt{ARCH}", tmp_path),
        lambda: make_card("a", f"file:gone.pt{ARCH}", root=tmp_path, canvas=32),
    ):
        with pytest.raises(UserError, match=r"(?s)no such weight file.*gone\.pt"):
            look()


def test_the_same_weights_compute_the_same_from_either_kind_of_file(tmp_path, weights, canvas):
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in weights.items()}}, tmp_path / "w.pth")
    sources = []
    for spec in (saved(tmp_path / "w.safetensors", weights), f"file:w.pth{ARCH}"):
        card = make_card("it", spec, root=tmp_path, canvas=64, prepare=CARD)
        sources.append(open_source(card, root=tmp_path))
    with torch.no_grad():
        assert torch.equal(*(source(canvas) for source in sources))
    assert sources[0].card.sha256 != sources[1].card.sha256


def test_a_file_without_prepare_is_refused_and_shown_what_to_write(tmp_path, weights):
    with pytest.raises(UserError, match=r"(?s)images.*transfuse\.card.*prepare: \{size"):
        make_card("it", saved(tmp_path / "w.safetensors", weights), root=tmp_path, canvas=32)


def test_what_the_user_states_wins_over_the_file(tmp_path, weights):
    stated = {**CARD, "order": "bgr", "classes": ["x", "y", "z"], "licence": "MIT", "seen": "set A"}
    spec = saved(tmp_path / "w.safetensors", weights, **stated)
    card = make_card("it", spec, root=tmp_path, canvas=32)
    assert card.prepare == Prepare(32, (0.5,) * 3, (0.5,) * 3, order="bgr")
    assert (card.classes, card.licence, card.seen, card.class_count) == (("x", "y", "z"), "MIT", "set A", 3)
    card = make_card("it", spec, root=tmp_path, canvas=32, prepare={"size": 48}, seen="none")
    assert (card.prepare.size, card.prepare.order, card.seen) == (48, "bgr", "none")


@pytest.mark.parametrize(("field", "value"), [("classes", ["x"]), ("classes", "x"), ("licence", 3), ("size", "big")])
def test_metadata_that_does_not_fit_is_refused(tmp_path, weights, field, value):
    spec = saved(tmp_path / "w.safetensors", weights, **{**CARD, field: value})
    with pytest.raises(UserError, match=field.rstrip("s") if field != "classes" else "class"):
        make_card("it", spec, root=tmp_path, canvas=32)


def test_weights_that_do_not_fit_name_tensor_and_source(tmp_path, weights):
    bad = {**weights, "features.0.bias": torch.full((64,), torch.nan), "classifier.1.bias": torch.zeros(4)}
    spec = saved(tmp_path / "w.safetensors", bad)
    with pytest.raises(UserError, match=r"(?s)classifier\.1\.bias.*features\.0\.bias.*NaN.*w\.safetensors"):
        make_card("it", spec, root=tmp_path, canvas=32, prepare=CARD)


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            import os

            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"state_dict": Payload()}, tmp_path / "w.pth")
    with pytest.raises(UnsafeFileError, match="system"):
        make_card("it", f"file:w.pth{ARCH}", root=tmp_path, canvas=32, prepare=CARD)
    assert not (tmp_path / "ran").exists()


def test_a_source_whose_file_changed_since_its_card_is_refused(tmp_path, weights):
    spec = saved(tmp_path / "w.safetensors", weights)
    card = make_card("it", spec, root=tmp_path, canvas=32, prepare=CARD)
    saved(tmp_path / "w.safetensors", {**weights, "classifier.1.bias": torch.ones(3)})
    with pytest.raises(UserError, match="not those its card was made of"):
        open_source(card, root=tmp_path)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("torchvision:resnet81", "resnet"),
        ("torchvision:resnet18@IMAGENET1K_V9", "IMAGENET1K_V1"),
        ("torchvision:resnet18?classes=10", "own classes"),
        ("torchvision:resnet18@random?classes=1", "at least 2"),
        ("timm:tf_efficientnet_light0", "tf_efficientnet_lite0"),
        ("timm:resnet18@nonsense", "unknown tag"),
        ("timm:resnet18@random?checkpoint=a.pth", "exclude"),
        ("file:a.safetensors", "which network"),
        ("file:a.safetensors?arch=file:b", "bare name"),
        ("demo:nothing", "unknown demo network"),
        ("module:Net", "given again"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(tmp_path, spec, says):
    with pytest.raises(UserError, match=says):
        make_card("it", spec, root=tmp_path, canvas=32)


@pytest.mark.parametrize("spec", ["torchvision:squeezenet1_1", "timm:resnet10t"])
def test_weights_that_cannot_be_fetched_are_one_clean_message(tmp_path, monkeypatch, spec):
    import timm
    import torchvision

    def offline(*_, **__):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torchvision.models, "get_model", offline)
    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(UserError, match="(?s)cannot download.*file:WEIGHTS.*@random"):
        make_card("it", spec, root=tmp_path, canvas=32)


@pytest.mark.parametrize("name", ["torchvision:squeezenet1_1", "timm:mobilenetv3_small_050"])
def test_random_networks_are_seeded_and_leave_the_global_stream_alone(tmp_path, name):
    stream = torch.get_rng_state()
    cards = [make_card("it", f"{name}@random?seed={seed}&classes=5", root=tmp_path, canvas=32) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), stream)
    assert cards[0] == cards[1]
    assert cards[0].sha256 != cards[2].sha256
    assert cards[0].random
    assert cards[0].seen == "none"
    assert cards[0].class_count == 5


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, images):
        return self.head(self.norm(self.conv(images)).relu().mean((2, 3)))


def test_a_module_is_copied_and_says_how_it_is_fed(tmp_path, canvas):
    module = Net().train()
    card = make_card("net", module, root=tmp_path, canvas=64)
    assert card.flexible
    assert card.notes
    assert module.training
    assert (card.spec, card.prepare.mean, card.parameters) == ("module:Net", (0.0,) * 3, 112 + 8 + 10)
    source = open_source(card, root=tmp_path, module=module)
    with torch.no_grad():
        source.network.head.bias += 1
        assert not torch.equal(source(canvas), module.eval()(canvas))
        module.head.bias += 2
    with pytest.raises(UserError, match="not those its card was made of"):
        open_source(card, root=tmp_path, module=module)


def test_a_source_given_as_a_module_keeps_its_card(tmp_path, canvas):
    module = Net()
    source = open_source(make_card("net", module, root=tmp_path, canvas=64), root=tmp_path, module=module)
    card = make_card("again", source, root=tmp_path, canvas=64)
    assert card == replace(source.card, name="again")
    other = open_source(card, root=tmp_path, module=source)
    assert other is not source
    assert torch.equal(other(canvas), source(canvas))


def test_nan_in_a_module_is_refused(tmp_path):
    module = Net()
    module.norm.running_mean[0] = torch.nan
    with pytest.raises(UserError, match=r"(?s)norm\.running_mean.*'net'"):
        make_card("net", module, root=tmp_path, canvas=32)


@pytest.mark.parametrize("module", [nn.Sequential(nn.Flatten(), nn.Linear(7, 2)), nn.Conv2d(1, 2, 3)])
def test_a_network_that_takes_no_such_images_is_refused(tmp_path, module):
    with pytest.raises(UserError, match=r"does not accept images \[N, 3, 32, 32\]"):
        make_card("net", module, root=tmp_path, canvas=32)


def test_a_network_bound_to_one_size_is_resized_to_it(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 28 * 28, 2))
    stated = {"size": 28, "mean": 0.0}
    card = make_card("bound", module, root=tmp_path, canvas=40, prepare=stated)
    assert not card.flexible
    source = open_source(card, root=tmp_path, module=module)
    assert source(torch.rand(2, 3, 40, 40), ["map"])["map"].shape == (2, 4, 28, 28)
