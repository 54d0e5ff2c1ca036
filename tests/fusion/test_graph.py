"""A model as one graph answers as the model does, and each form of it runs without this package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from transfuse.errors import TransfuseError, UserError
from transfuse.fusion import graph
from transfuse.fusion.connect import connect
from transfuse.fusion.pooled import Pool
from transfuse.reads import Read
from transfuse.registry import shelf

FACTS = {"classes": '["a", "b", "c"]', "canvas": "16", "arm": "fused"}
GRAPHS = [name for name, entry in shelf("fusion/outputs").items() if hasattr(entry.load(), "graph")]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def fused(tiny):
    members = {"one": tiny("one"), "two": tiny("two", width=3, seed=1)}
    made = connect("features/concat", members, [Read("one", "vector"), Read("two", "vector")], ["a", "b", "c"])
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        made.crown.head.weight.copy_(torch.randn(made.crown.head.weight.shape, generator=generator))
    made.temperature = 1.7
    return made.eval()


def test_an_onnx_file_answers_as_the_model_with_its_temperature_for_any_batch(fused, images, tmp_path: Path):
    path = graph.export(fused, "onnx", 16, tmp_path / "model.onnx", FACTS)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == FACTS
    for count in (1, 5):
        (found,) = session.run(["probabilities"], {"canvas": images[:count].numpy()})
        np.testing.assert_allclose(found, fused.probabilities(images[:count]).detach().numpy(), atol=1e-5)
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"], "one file, nothing left beside it"


@pytest.mark.parametrize("form", ["onnx", "torch_export"])
def test_an_export_comes_again_in_the_same_bytes_and_replaces_no_other_file(form: str, fused, tmp_path: Path):
    path = tmp_path / "model"
    graph.export(fused, form, 16, path, FACTS)
    made = path.read_bytes()
    graph.export(fused, form, 16, path, FACTS)
    assert path.read_bytes() == made
    path.write_bytes(b"mine")
    with pytest.raises(UserError, match="another file of that name"):
        graph.export(fused, form, 16, path, FACTS)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("model", b"mine")]


def test_a_torch_program_runs_where_this_package_is_not(fused, images, tmp_path: Path):
    path = graph.export(fused, "torch_export", 16, tmp_path / "model.pt2", FACTS)
    np.save(tmp_path / "images.npy", images.numpy())
    code = (
        "import sys; sys.modules['transfuse'] = None\n"
        "import json, numpy, torch\n"
        "extra = {'facts.json': ''}\n"
        f"program = torch.export.load({str(path)!r}, extra_files=extra)\n"
        "assert json.loads(extra['facts.json'])['arm'] == 'fused'\n"
        f"images = torch.from_numpy(numpy.load({str(tmp_path / 'images.npy')!r}))\n"
        "print(program.module()(images).tolist())"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    found = np.array(json.loads(done.stdout.splitlines()[-1]))
    np.testing.assert_allclose(found, fused.probabilities(images).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_methods_graph_is_its_apply_on_tensors(name: str):
    module, rng = shelf("fusion/outputs")[name].load(), np.random.default_rng(3)
    members = rng.dirichlet(np.ones(4), (3, 40))
    settings = shelf("fusion/outputs")[name].settings({})
    state = module.fit(members, rng.integers(0, 4, 40), **settings)
    found = module.graph({key: torch.as_tensor(array) for key, array in state.items()}, torch.from_numpy(members))
    np.testing.assert_allclose(found.numpy(), module.apply(state, members), atol=1e-12)


def test_the_plain_ensemble_and_learned_weights_have_a_graph():
    assert set(GRAPHS) >= {"mean_prob", "geometric_mean", "convex", "greedy", "temperature_mean"}


def test_a_pool_is_a_graph_of_its_members(tiny, images):
    pool = Pool(
        "pool", [tiny("one"), tiny("two", width=3, seed=1)], "outputs/convex", {"weights": np.array([0.3, 0.7])}
    )
    found = graph.Answering(pool.eval())(images)
    torch.testing.assert_close(found, pool.probabilities(images), atol=1e-6, rtol=0)


def test_a_pool_without_a_graph_says_what_to_do(tiny):
    pool = Pool("pool", [tiny("one"), tiny("two")], "outputs/vote", {})
    with pytest.raises(UserError, match=r"outputs/vote has no form as a graph"):
        graph.program_of(pool, 16)


def test_an_unknown_form_offers_the_known_ones(fused, tmp_path: Path):
    with pytest.raises(UserError, match="onnx"):
        graph.export(fused, "onxx", 16, tmp_path / "model", FACTS)


class Deciding(nn.Module):
    """Looks at the numbers before it answers, which no graph can."""

    def __init__(self, tiny: nn.Module) -> None:
        super().__init__()
        self.card, self.temperature, self.tiny, self.kind = tiny.card, 1.0, tiny, "multiclass"

    def forward(self, canvas: torch.Tensor) -> torch.Tensor:
        return self.tiny(canvas) if float(canvas.mean()) > 0.1 else -self.tiny(canvas)


def test_what_cannot_be_traced_and_what_answers_differently_are_told_apart(tiny, fused, monkeypatch, tmp_path: Path):
    with pytest.raises(UserError, match="cannot be traced"):
        graph.program_of(Deciding(tiny("one")), 16)  # pyright: ignore[reportArgumentType]
    program = graph.program_of(fused, 16)
    fused.temperature = 0.5
    monkeypatch.setattr(graph, "program_of", lambda model, canvas: program)
    with pytest.raises(TransfuseError, match="differently"):
        graph.export(fused, "onnx", 16, tmp_path / "model.onnx", FACTS)
    assert list(tmp_path.iterdir()) == []
