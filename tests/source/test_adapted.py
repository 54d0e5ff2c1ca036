"""A LoRA adapter on its base: the published sum, tensor by tensor, and what does not fit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from transfuse.errors import UserError
from transfuse.source.adapted import AdaptedReader
from transfuse.source.weights import ArrayReader

RNG = np.random.default_rng(0)
BASE = {
    "layer.q.weight": RNG.normal(size=(5, 4)).astype(np.float32),
    "conv.weight": RNG.normal(size=(6, 3, 3, 3)).astype(np.float32),
    "head.weight": RNG.normal(size=(2, 5)).astype(np.float32),
}
LORA = {
    "base_model.model.layer.q.lora_A.weight": RNG.normal(size=(2, 4)).astype(np.float32),
    "base_model.model.layer.q.lora_B.weight": RNG.normal(size=(5, 2)).astype(np.float32),
    "base_model.model.conv.lora_A.weight": RNG.normal(size=(2, 3, 3, 3)).astype(np.float32),
    "base_model.model.conv.lora_B.weight": RNG.normal(size=(6, 2, 1, 1)).astype(np.float32),
    "base_model.model.head.modules_to_save.default.weight": np.ones((2, 5), np.float32),
}


def adapter(folder, tensors=LORA, **config):
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 8, **config}))
    return folder


def test_the_sum_is_the_published_one(tmp_path):
    reader = AdaptedReader(ArrayReader(BASE, "base"), adapter(tmp_path / "lora"))
    a, b = LORA["base_model.model.layer.q.lora_A.weight"], LORA["base_model.model.layer.q.lora_B.weight"]
    assert np.allclose(reader.read("layer.q.weight"), BASE["layer.q.weight"] + 4 * b @ a, atol=1e-5)
    a, b = LORA["base_model.model.conv.lora_A.weight"], LORA["base_model.model.conv.lora_B.weight"]
    change = np.einsum("or,rihw->oihw", b[:, :, 0, 0], a)
    assert np.allclose(reader.read("conv.weight"), BASE["conv.weight"] + 4 * change, atol=1e-5)
    assert (reader.read("head.weight") == 1).all() and reader.names() == list(BASE)


def test_ranks_scale_by_their_root_and_single_modules_have_their_own_alpha(tmp_path):
    root = AdaptedReader(ArrayReader(BASE, "b"), adapter(tmp_path / "root", use_rslora=True)).read("layer.q.weight")
    own = AdaptedReader(ArrayReader(BASE, "b"), adapter(tmp_path / "own", alpha_pattern={"q": 2})).read(
        "layer.q.weight"
    )
    ratio = (root - BASE["layer.q.weight"]) / (own - BASE["layer.q.weight"])
    assert np.allclose(ratio, 8 / 2**0.5, rtol=1e-3)


@pytest.mark.parametrize(
    ("config", "tensors", "message"),
    [
        ({"peft_type": "IA3"}, LORA, "only LoRA"),
        ({"use_dora": True}, LORA, "DoRA"),
        ({"bias": "all"}, LORA, "train biases"),
        ({}, {"base_model.model.other.lora_A.weight": np.ones((2, 4), np.float32)}, "'other.weight', which the base"),
        ({}, {key: LORA[key] for key in list(LORA)[:1]}, "only one half"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, config, tensors, message):
    with pytest.raises(UserError, match=message):
        AdaptedReader(ArrayReader(BASE, "base"), adapter(tmp_path / "lora", tensors, **config))


def test_a_folder_without_an_adapter_is_refused(tmp_path):
    with pytest.raises(UserError, match="no adapter"):
        AdaptedReader(ArrayReader(BASE, "base"), tmp_path)
