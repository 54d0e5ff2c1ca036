"""Every kind of source that goes into a merge, through the command: what comes out is the mean of what it holds."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from transfuse.doors.cli import app
from transfuse.doors.merging import source
from transfuse.fusion.streamed import INDEX, opened

ARCHITECTURE = {"model_type": "bert", "architectures": ["BertModel"]}


def state(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"embed.weight": (30, 8), "layer.0.weight": (8, 8), "layer.0.bias": (8,)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def hugging_face(folder):
    """As `save_pretrained` leaves it: one file, a configuration and a tokenizer beside it."""
    folder.mkdir()
    save_file(state(1), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(ARCHITECTURE))
    (folder / "tokenizer.json").write_text("{}")
    return state(1)


def sharded(folder):
    """The same in two files and an index."""
    hugging_face(folder)
    (folder / "model.safetensors").unlink()
    names = {name: f"model-0000{1 + name.startswith('layer')}-of-00002.safetensors" for name in state(1)}
    for shard in set(names.values()):
        save_file({name: value for name, value in state(1).items() if names[name] == shard}, folder / shard)
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": names}))
    # A file that the index does not name is none of the model's.
    save_file({"stray": np.zeros(3, np.float32)}, folder / "adapter.safetensors")
    return state(1)


def state_dict(path):
    """A plain PyTorch file, wrapped and with the prefix that DataParallel leaves."""
    tensors = {f"module.{name}": torch.from_numpy(value) for name, value in state(1).items()}
    torch.save({"state_dict": tensors}, path.with_suffix(".pt"))
    return state(1)


KINDS = {"model": hugging_face, "shards": sharded, "plain.pt": state_dict}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_file(state(0), tmp_path / "a.safetensors")
    return tmp_path


def merged(*words: str, out: str = "out.safetensors") -> dict[str, np.ndarray]:
    result = CliRunner().invoke(app, ["merge", "mean", *words, "--out", out], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return load_file(out) if out.endswith(".safetensors") else {}


def mean(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: ((a[name].astype(np.float64) + b[name]) / 2).astype(a[name].dtype) for name in a}


def same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> bool:
    return found.keys() == wanted.keys() and all(np.array_equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_goes_in(kind, folder):
    held = KINDS[kind](folder / kind)
    assert same(merged("a.safetensors", f"b={kind}"), mean(state(0), held))


def test_a_folder_comes_out_as_a_folder_that_can_go_in_again(folder):
    sharded(folder / "shards")
    hugging_face(folder / "model")
    merged("shards", "model", out="new")
    assert json.loads((folder / "new" / "config.json").read_text()) == ARCHITECTURE
    assert (folder / "new" / "tokenizer.json").is_file()
    assert same(merged("new", "b=model"), state(1))


@pytest.mark.parametrize("spec", ["timm:test_vit@random", "torchvision:squeezenet1_1@random", "demo:residual"])
def test_a_packages_network_goes_in(spec, folder):
    reader = opened(source(spec)).reader
    held = {name: np.array(reader.read(name)) for name in reader.names()}
    floats = {name: value for name, value in held.items() if value.dtype.kind == "f"}
    other = {**held, **{name: (value + 1).astype(value.dtype) for name, value in floats.items()}}
    save_file(other, folder / "other.safetensors")
    assert same(merged(f"a={spec}", "other.safetensors"), {**held, **mean(floats, {n: other[n] for n in floats})})


def test_a_lora_adapter_goes_in_on_its_base(folder):
    (folder / "lora").mkdir()
    down, up = np.ones((2, 8), np.float32), np.full((8, 2), 0.25, np.float32)
    prefix = "base_model.model.layer.0"
    save_file(
        {f"{prefix}.lora_A.weight": down, f"{prefix}.lora_B.weight": up}, folder / "lora" / "adapter_model.safetensors"
    )
    (folder / "lora" / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["layer.0"]})
    )
    held = state(0) | {"layer.0.weight": (state(0)["layer.0.weight"].astype(np.float64) + 1).astype(np.float32)}
    assert same(merged("a.safetensors", "b=a.safetensors+lora"), mean(state(0), held))
