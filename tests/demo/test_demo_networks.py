"""The laws of the demo's networks: three designs, whole files, and a provenance that tells the truth."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from transfuse import demo
from transfuse.demo import networks
from transfuse.errors import UserError
from transfuse.jsonio import file_digest
from transfuse.types import Prepare

REPOSITORY = Path(__file__).parents[2]
PARAMETERS = {"residual": 82_426, "vgg": 115_938, "depthwise": 36_874}


@pytest.fixture
def provenance() -> dict:
    return json.loads(demo.PROVENANCE.read_text(encoding="utf-8"))


def card(name: str) -> dict:
    with safe_open(demo.weights(name), "pt") as handle:
        return json.loads(handle.metadata()["transfuse.card"])


def pretrained(name: str) -> nn.Module:
    network = networks.build(name)
    network.load_state_dict(load_file(demo.weights(name)))
    return network.eval()


@pytest.mark.parametrize("name", demo.NAMES)
def test_a_network_gives_ten_logits_and_the_stated_number_of_parameters(name: str) -> None:
    network = networks.build(name)
    assert network(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[name]
    assert isinstance(network.get_submodule("classifier"), nn.Linear)


@pytest.mark.parametrize("name", demo.NAMES)
@pytest.mark.parametrize("size", [4, 33, 64])
def test_a_network_takes_other_sizes(name: str, size: int) -> None:
    assert networks.build(name).eval()(torch.rand(1, 1, size, size)).shape == (1, 10)


def test_the_three_designs_differ_as_their_names_say() -> None:
    kinds = {name: {type(module) for module in networks.build(name).modules()} for name in demo.NAMES}
    assert networks.ResidualBlock in kinds["residual"]
    assert nn.BatchNorm2d not in kinds["vgg"]
    assert nn.MaxPool2d in kinds["vgg"]
    groups = {module.groups for module in networks.build("depthwise").modules() if isinstance(module, nn.Conv2d)}
    assert groups > {1}


def test_residual_blocks_add_their_input() -> None:
    block = networks.ResidualBlock(4, 4, 1)
    nn.init.zeros_(block.body[-1].weight)
    maps = torch.rand(2, 4, 6, 6)
    assert torch.equal(block(maps), maps)


def test_the_same_seed_builds_the_same_network() -> None:
    def weight(seed: int) -> torch.Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return networks.build("vgg").state_dict()["features.0.weight"]

    assert torch.equal(weight(1), weight(1))
    assert not torch.equal(weight(1), weight(2))


def test_an_unknown_network_is_refused_with_the_nearest_name() -> None:
    for call in (demo.weights, networks.build):
        with pytest.raises(UserError, match="residual"):
            call("residul")


def test_the_names_are_known_without_torch() -> None:
    code = "import sys, transfuse.demo as demo; print(demo.NAMES, 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split(") ") == [f"{demo.NAMES}"[:-1], "False\n"]


@pytest.mark.parametrize("name", demo.NAMES)
def test_the_shipped_weights_fit_and_are_finite_float32(name: str) -> None:
    tensors = pretrained(name).state_dict()
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())
    counters = {tensor.dtype for key, tensor in tensors.items() if key.endswith("num_batches_tracked")}
    assert {tensor.dtype for tensor in tensors.values()} - counters == {torch.float32}


@pytest.mark.parametrize("name", demo.NAMES)
def test_the_card_is_whole(name: str) -> None:
    stated = card(name)
    prepare = Prepare(**{key: stated.pop(key) for key in ("size", "mean", "std", "scale", "order", "channels")})
    assert (prepare.size, prepare.channels, len(prepare.mean), len(prepare.std)) == (28, 1, 1, 1)
    assert len(set(stated.pop("classes"))) == 10
    assert stated.pop("seen") == "fashion-mnist train, 20000 rows"
    assert stated.pop("licence") == "MIT"
    assert set(stated) == {"origin"}


def test_all_files_together_are_small() -> None:
    assert sum(demo.weights(name).stat().st_size for name in demo.NAMES) <= 1_200_000


def test_provenance_tells_the_files_and_what_made_them(provenance: dict) -> None:
    assert {name: facts["sha256"] for name, facts in provenance["networks"].items()} == {
        name: file_digest(demo.weights(name)) for name in demo.NAMES
    }
    made_by = {**provenance["script"], **provenance["architecture"]}
    assert made_by == {path: file_digest(REPOSITORY / path) for path in made_by}
    assert {name: facts["parameters"] for name, facts in provenance["networks"].items()} == PARAMETERS


@pytest.mark.assets
def test_the_stated_accuracies_are_found_again(provenance: dict) -> None:
    import pretrain_demo

    folder = REPOSITORY / "assets" / "fashion-mnist"
    if not folder.is_dir():
        pytest.skip("assets/ lacks fashion-mnist; run `make assets`")
    _, testing = pretrain_demo.read_images(folder)
    part = pretrain_demo.Images(testing.pixels[:500], testing.targets[:500])
    found = {name: pretrain_demo.accuracy(pretrained(name), part) for name in demo.NAMES}
    # Four standard errors of an accuracy near 0.89 on 500 images.
    assert found == pytest.approx(
        {name: facts["test_accuracy"] for name, facts in provenance["networks"].items()}, abs=0.056
    )
