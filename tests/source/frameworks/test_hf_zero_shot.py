"""CLIP-like models: the head that class names make is the library's own answer, and the image encoder is a backbone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from contracts.source_laws import LAWS
from contracts.source_laws import images as four
from source.text_folders import WORDS, write_tokenizer
from transfuse.errors import UserError
from transfuse.plan.heads import columns_of
from transfuse.plan.recipe import SourceEntry
from transfuse.source.blank import blank_source
from transfuse.source.frameworks import hf_models
from transfuse.source.open import make_card, open_source

SIDE, WIDTH = 16, 12
PROCESSOR = {"do_rescale": True, "do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.2],
             "do_center_crop": True, "crop_size": {"height": SIDE, "width": SIDE}}  # fmt: skip
LABELS = "oven,boat,salt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A CLIP of two layers each with random weights and a tokenizer of whole words."""
    library, here = hf_models.package("test"), tmp_path_factory.mktemp("clip")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    text = {**sizes, "vocab_size": len(WORDS), "max_position_embeddings": 12, "bos_token_id": 2, "eos_token_id": 3}
    seen = {**sizes, "image_size": SIDE, "patch_size": 8}
    config = library.CLIPConfig(text_config={**text, "pad_token_id": 0}, vision_config=seen, projection_dim=WIDTH)
    with torch.random.fork_rng(devices=[]), hf_models._quiet(library):
        torch.manual_seed(0)
        library.CLIPModel(config).save_pretrained(here / "clip")
    (here / "clip" / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    write_tokenizer(here / "clip", framed=True)
    return here


def opened(folder: Path, spec: str):
    return open_source(make_card("it", spec, root=folder, canvas=SIDE), root=folder)


def asked_of_the_library(folder: Path, images, prompts):
    """`logits_per_image` and embeddings by the library, prompts padded to one length."""
    library = hf_models.package("test")
    with hf_models._quiet(library):
        model = library.CLIPModel.from_pretrained(folder / "clip").eval()
    number = {word: place for place, word in enumerate(WORDS)}
    rows = [[2, *(number.get(word, 1) for word in prompt.split()), 3] for prompt in prompts]
    most = max(map(len, rows))
    ids = torch.tensor([row + [0] * (most - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (most - len(row)) for row in rows])
    mean, std = (torch.tensor(PROCESSOR[key]).reshape(1, 3, 1, 1) for key in ("image_mean", "image_std"))
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=mask, pixel_values=(images - mean) / std)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law, folder, tmp_path):
    law(opened(folder, f"hf:clip?labels={LABELS}"), four(SIDE), tmp_path)


def test_class_names_make_the_library_s_own_answer(folder):
    images = four(SIDE)
    source = opened(folder, f"hf:clip?labels={LABELS}&template=the {{}} and a wind")
    wanted = asked_of_the_library(folder, images, [f"the {name} and a wind" for name in LABELS.split(",")])
    assert source.card.classes == tuple(LABELS.split(","))
    # Data of these classes, in another order, ask it as it is.
    entry = SourceEntry(spec=source.card.spec)
    assert columns_of("it", source.card, entry, ("boat", "oven", "salt"), "multiclass")[0] == ()
    with torch.no_grad():
        found = source(images, ["vector", "logits"])
    torch.testing.assert_close(found["logits"], wanted.logits_per_image, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found["vector"], wanted.image_embeds)
    assert source.card.taps["vector"].width == WIDTH
    assert not any("text" in name for name, _ in source.named_parameters())


def test_of_several_templates_the_normalised_embeddings_are_averaged(folder):
    images, templates = four(SIDE), ["the {}", "a {} with salt"]
    source = opened(folder, f"hf:clip?labels={LABELS}&template={'|'.join(templates)}")
    each = [asked_of_the_library(folder, images, [t.replace("{}", n) for n in LABELS.split(",")]) for t in templates]
    rows = torch.nn.functional.normalize(torch.stack([one.text_embeds for one in each]).mean(0), dim=1)
    scale = each[0].logits_per_image[0, 0] / (each[0].image_embeds[0] @ each[0].text_embeds[0])
    with torch.no_grad():
        torch.testing.assert_close(source(images), scale * each[0].image_embeds @ rows.T, rtol=1e-4, atol=1e-4)


def test_without_class_names_its_image_encoder_is_a_backbone(folder):
    source, images = opened(folder, "hf:clip"), four(SIDE)
    assert source.card.classes == ()
    wanted = asked_of_the_library(folder, images, ["a"])
    with torch.no_grad():
        torch.testing.assert_close(source(images, ["vector"])["vector"], wanted.image_embeds)


def test_a_fresh_draw_answers_as_many_classes(folder):
    source = opened(folder, f"hf:clip?labels={LABELS}")
    fresh = blank_source(source.card, root=folder)
    assert fresh(four(SIDE)).shape == (4, 3)
    assert not torch.allclose(fresh(four(SIDE)), source(four(SIDE)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("labels=cat", "two or more distinct class names"),
        ("labels=cat,cat", "two or more distinct class names"),
        ("labels=cat,dog&template=a photo", "a place for the class"),
        ("template=a {}", "a template asks for class names"),
        ("labels=cat,dog&template=the {} and a wind with the sail of a boat and a rope", "a prompt is too long"),
    ],
)
def test_what_makes_no_head_is_refused(folder, options, said):
    with pytest.raises(UserError, match=said):
        make_card("it", f"hf:clip?{options}", root=folder, canvas=SIDE)


def test_prompts_need_a_pair_and_a_tokenizer(folder, tmp_path):
    library = hf_models.package("test")
    config = library.ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
                               image_size=SIDE, patch_size=8)  # fmt: skip
    with hf_models._quiet(library):
        library.ViTModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "vit")
    with pytest.raises(UserError, match="has no text encoder"):
        make_card("it", "hf:vit?labels=cat,dog", root=tmp_path, canvas=SIDE)
    (tmp_path / "clip").mkdir()
    for path in (folder / "clip").iterdir():
        if path.name != "tokenizer.json":
            (tmp_path / "clip" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="needs its tokenizer"):
        make_card("it", "hf:clip?labels=cat,dog", root=tmp_path, canvas=SIDE)
