"""Hugging Face sources: float32 whatever is stored, no missing part drawn at random, no code from a model's folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from contracts.source_laws import LAWS
from contracts.source_laws import images as four
from transfuse.errors import MissingExtraError, UserError
from transfuse.fusion.saved import load, save
from transfuse.source.blank import blank_source
from transfuse.source.frameworks import hf_models
from transfuse.source.open import make_card, open_source

SIDE = 16
PROCESSOR = {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.4, 0.3],
             "image_std": [0.5, 0.25, 0.2], "size": {"height": SIDE, "width": SIDE}}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A ViT with a head, stored in bfloat16; the same without its head; a ResNet backbone."""
    library, here = hf_models.package("test"), tmp_path_factory.mktemp("hf")
    names = {"id2label": {0: "ape", 1: "bee", 2: "cat"}, "label2id": {"ape": 0, "bee": 1, "cat": 2}}
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = library.ViTConfig(**sizes, image_size=SIDE, patch_size=8, **names)
    plane = library.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic")
    with torch.random.fork_rng(devices=[]), hf_models._quiet(library):
        torch.manual_seed(0)
        library.ViTForImageClassification(config).to(torch.bfloat16).save_pretrained(here / "vit")
        library.ViTModel(config, add_pooling_layer=False).save_pretrained(here / "bare")
        library.ResNetModel(plane).save_pretrained(here / "resnet")
    for name in ("vit", "bare", "resnet"):
        (here / name / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return here


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def opened(folder: Path, spec: str):
    return open_source(make_card("it", spec, root=folder, canvas=SIDE), root=folder)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law, folder, tmp_path):
    law(opened(folder, "hf:vit"), four(SIDE), tmp_path)


def test_a_folder_gives_the_library_s_answers_in_float32(folder, images):
    source = opened(folder, "hf:vit")
    library = hf_models.package("test")
    with hf_models._quiet(library):
        plain = library.ViTForImageClassification.from_pretrained(folder / "vit", dtype=torch.float32).eval()
    mean, std = (torch.tensor(PROCESSOR[key]).reshape(1, 3, 1, 1) for key in ("image_mean", "image_std"))
    torch.testing.assert_close(source(images), plain((images - mean) / std).logits)
    assert {parameter.dtype for parameter in source.parameters()} == {torch.float32}
    card = source.card
    assert card.classes == ("ape", "bee", "cat")
    assert "stored as bfloat16" in card.notes[0]
    assert (card.taps["tokens"].width, card.taps["vector"].width) == (16, 16)
    source(images).square().sum().backward()
    assert all(parameter.grad is not None for parameter in source.parameters())


def test_a_backbone_without_a_head_gives_its_last_block_averaged(folder, images):
    tokens, plane = opened(folder, "hf:bare"), opened(folder, "hf:resnet")
    assert (tokens.card.class_count, plane.card.class_count) == (16, 12)
    assert tokens.card.classes == plane.card.classes == ()
    last = plane.network.backbone(plane.prepared(images)).last_hidden_state
    torch.testing.assert_close(plane(images), last.mean((2, 3)))


def test_a_fresh_draw_and_a_saved_model_need_no_folder_of_the_first(folder, images, tmp_path):
    source = opened(folder, "hf:vit")
    fresh = [blank_source(source.card, root=folder, seed=seed)(images) for seed in (0, 0, 1)]
    assert torch.equal(fresh[0], fresh[1])
    assert not torch.allclose(fresh[0], fresh[2])
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(0.1)
    save(source, tmp_path / "saved")
    assert torch.equal(load(tmp_path / "saved")(images), source(images))


def test_a_lora_adapter_is_added_to_the_weights(folder, images, tmp_path):
    base = opened(folder, "hf:vit")
    name = next(name for name, value in base.network.state_dict().items() if value.shape == (16, 16))
    draw = torch.Generator().manual_seed(1)
    down, up = torch.randn(2, 16, generator=draw), torch.randn(16, 2, generator=draw)
    module = name.removesuffix(".weight")
    pair = {f"base_model.model.{module}.lora_A.weight": down, f"base_model.model.{module}.lora_B.weight": up}
    (tmp_path / "lora").mkdir()
    save_file(pair, tmp_path / "lora" / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}
    (tmp_path / "lora" / "adapter_config.json").write_text(json.dumps(config))
    changed = opened(folder, f"hf:vit?adapter={tmp_path / 'lora'}")
    torch.testing.assert_close(changed.network.state_dict()[name], base.network.state_dict()[name] + 2 * up @ down)
    assert changed.card.sha256 != base.card.sha256
    assert not torch.allclose(changed(images), base(images))


@pytest.mark.parametrize(
    ("given", "scale", "mean", "std", "size"),
    [
        ({}, 1.0, (0.5, 0.4, 0.3), (0.5, 0.25, 0.2), SIDE),
        ({"do_normalize": False}, 1.0, (0.0,) * 3, (1.0,) * 3, SIDE),
        ({"do_rescale": False}, 255.0, (0.5, 0.4, 0.3), (0.5, 0.25, 0.2), SIDE),
        ({"rescale_factor": 1 / 127.5, "rescale_offset": True}, 2.0, (1.5, 1.4, 1.3), (0.5, 0.25, 0.2), SIDE),
        ({"include_top": True}, 1.0, (0.5, 0.4, 0.3), (0.25, 0.0625, 0.04), SIDE),
        ({"do_center_crop": True, "crop_size": 24}, 1.0, (0.5, 0.4, 0.3), (0.5, 0.25, 0.2), 24),
    ],
)
def test_preparing_is_what_the_processor_says(tmp_path, given, scale, mean, std, size):
    (tmp_path / "p.json").write_text(json.dumps({**PROCESSOR, **given}))
    found = hf_models.prepare_of({hf_models.PROCESSOR: tmp_path / "p.json"}, "test")
    assert (found.scale, found.size) == (scale, size)
    assert found.mean == pytest.approx(mean)
    assert found.std == pytest.approx(std)


def copied(folder: Path, out: Path, **changes) -> Path:
    (out / "m").mkdir()
    for path in (folder / "vit").iterdir():
        (out / "m" / path.name).write_bytes(path.read_bytes())
    settings = json.loads((out / "m" / "config.json").read_text())
    (out / "m" / "config.json").write_text(json.dumps({**settings, **changes}))
    return out


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"quantization_config": {"load_in_8bit": True}}, "quantised"),
        ({"num_hidden_layers": 3}, "weights are missing"),
        ({"model_type": "own", "auto_map": {"AutoConfig": "evil.Config"}}, "cannot be loaded"),
    ],
)
def test_what_would_be_made_up_or_run_is_refused(folder, tmp_path, changes, says):
    here = copied(folder, tmp_path, **changes)
    (here / "m" / "evil.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(UserError, match=says):
        opened(here, "hf:m")


def test_a_name_out_of_reach_a_folder_without_a_model_and_an_absent_package(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="the hub does not give it"):
        opened(tmp_path, "hf:someone/something")
    with pytest.raises(UserError, match="no such folder"):
        opened(tmp_path, "hf:./nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no model"):
        opened(tmp_path, "hf:empty")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"transfuse\[huggingface\]"):
        opened(folder, "hf:vit")
