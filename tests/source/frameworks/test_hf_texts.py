"""Sources of texts: the library's own numbers, padding that is never averaged, no token that a table does not have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from contracts.source_laws import LAWS
from contracts.source_laws import texts as four
from source.text_folders import WORDS, write_bert, write_table
from transfuse.errors import UserError
from transfuse.source.blank import blank_source
from transfuse.source.frameworks import hf_models
from transfuse.source.open import make_card, open_source

SAID = ["salt and then the oven", "wind", "the rope of a boat with an anchor and very little tide again", ""]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    here = tmp_path_factory.mktemp("hf")
    write_bert(here / "bert")
    write_bert(here / "headed", headed=True)
    write_table(here / "words")
    return here


def opened(folder: Path, spec: str):
    return open_source(make_card("it", spec, root=folder, canvas=80), root=folder)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law, folder, tmp_path):
    law(opened(folder, "hf:bert?tokens=12"), four(), tmp_path)


def test_a_backbone_gives_the_library_s_tokens_averaged_without_padding(folder):
    source, library = opened(folder, "hf:bert"), hf_models.package("test")
    with hf_models._quiet(library):
        plain = library.AutoModel.from_pretrained(folder / "bert").eval()
        words = library.PreTrainedTokenizerFast(tokenizer_file=str(folder / "bert" / "tokenizer.json"))
    with torch.no_grad():
        alone = [plain(torch.tensor([words(text)["input_ids"]])).last_hidden_state[0].mean(0) for text in SAID]
        torch.testing.assert_close(source(SAID), torch.stack(alone), rtol=1e-4, atol=1e-5)
    card = source.card
    assert (card.class_count, card.field, card.taps["vector"].width) == (16, "text", 16)
    assert (card.differentiable, card.cuttable, card.trainable) == (False, False, True)


def test_a_classifier_keeps_its_head_and_names(folder):
    source, library = opened(folder, "hf:headed?tokens=20"), hf_models.package("test")
    with hf_models._quiet(library):
        plain = library.AutoModelForSequenceClassification.from_pretrained(folder / "headed").eval()
    ids = torch.tensor([[2, *(WORDS.index(word) for word in SAID[0].split()), 3]])
    with torch.no_grad():
        torch.testing.assert_close(source(SAID[:1]), plain(ids).logits, rtol=1e-4, atol=1e-5)
    assert source.card.classes == ("cooking", "sailing")


def test_what_is_frozen_up_to_a_layer_stays(folder):
    source = opened(folder, "hf:bert")
    source.freeze("backbone.encoder.layer.0")
    learning = {name.split(".")[3] for name, value in source.network.named_parameters() if value.requires_grad}
    assert learning == {"1"}


def test_random_twins_and_restarted_tables_forget(folder):
    for spec in ("hf:bert?tokens=12", "static:words?tokens=9"):
        card = make_card("it", spec, root=folder, canvas=80)
        first, other = (blank_source(card, root=folder, seed=seed) for seed in (0, 1))
        again = blank_source(card, root=folder, seed=0)
        assert first.preparation.most == card.prepare.size
        assert torch.equal(first(SAID), again(SAID))
        assert not torch.equal(first(SAID), other(SAID))


def test_a_table_is_the_plain_mean_of_a_text_s_vectors(folder):
    table = load_file(folder / "words" / "model.safetensors")["embedding.weight"].float().numpy()
    found = opened(folder, "static:words")(SAID).detach().numpy()
    numbers = [[WORDS.index(word) if word in WORDS else 1 for word in text.split()] for text in SAID]
    wanted = [table[rows].mean(0) if rows else np.zeros(table.shape[1]) for rows in numbers]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    first = opened(folder, "static:words?tokens=2")(SAID[:1]).detach().numpy()[0]
    np.testing.assert_allclose(first, table[numbers[0][:2]].mean(0), atol=1e-6)


def test_weights_and_a_mapping_of_tokens_to_rows(tmp_path):
    rows, weights = torch.arange(len(WORDS)) // 2, torch.rand(len(WORDS), generator=torch.Generator().manual_seed(1))
    folder = write_table(tmp_path / "words", mapping=rows, weights=weights)
    table = load_file(folder / "model.safetensors")["embedding.weight"].float()
    numbers = [WORDS.index(word) for word in SAID[0].split()]
    wanted = (table[rows[numbers]] * weights[numbers].unsqueeze(1)).mean(0)
    torch.testing.assert_close(opened(tmp_path, "static:words")(SAID[:1])[0], wanted, rtol=1e-5, atol=1e-6)


def without(name: str):
    return lambda here: (here / name).unlink()


def shorter(here: Path) -> None:
    table = load_file(here / "model.safetensors")["embedding.weight"]
    save_file({"embedding.weight": table[:9].clone()}, here / "model.safetensors")


def two_tables(here: Path) -> None:
    save_file({name: torch.zeros(40, 2) for name in "ab"}, here / "model.safetensors")


def wrong_mapping(here: Path) -> None:
    table = load_file(here / "model.safetensors")["embedding.weight"]
    save_file({"e": table, "mapping": torch.full((len(WORDS),), len(WORDS))}, here / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("tokenizer.json"), "no folder of static embeddings"),
        (lambda here: (here / "more.safetensors").write_bytes(b""), "no folder of static embeddings"),
        (shorter, "the tokenizer knows more tokens than the table has rows"),
        (two_tables, "holds no table of embeddings"),
        (wrong_mapping, "'mapping' gives no row a token"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, change, said):
    change(write_table(tmp_path / "words"))
    with pytest.raises(UserError, match=said):
        opened(tmp_path, "static:words")


def smaller_vocabulary(here: Path) -> None:
    facts = json.loads((here / "tokenizer.json").read_text())
    facts["model"]["vocab"]["beyond"] = 99
    (here / "tokenizer.json").write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("spec", "change", "said"),
    [
        ("hf:bert", without("tokenizer.json"), "a model of texts needs its tokenizer"),
        ("hf:bert", smaller_vocabulary, "the tokenizer knows more tokens than the model"),
        ("hf:bert?tokens=33", lambda here: None, "tokens out of range"),
        ("hf:bert?tokens=0", lambda here: None, "tokens out of range"),
    ],
)
def test_a_model_that_does_not_fit_its_words_is_refused(tmp_path, spec, change, said):
    change(write_bert(tmp_path / "bert"))
    with pytest.raises(UserError, match=said):
        opened(tmp_path, spec)


def test_texts_are_no_images_and_images_no_texts(folder):
    with pytest.raises(UserError, match="source 'it' reads texts, and the data are images"):
        make_card("it", "static:words", root=folder, canvas=80, field="image")
    with pytest.raises(UserError, match="prepared by its own tokenizer"):
        make_card("it", "static:words", root=folder, canvas=80, prepare={"size": 8, "mean": 0})
    source = opened(folder, "static:words")
    for given in (torch.rand(2, 3, 8, 8), torch.zeros(2, 8), "one text", None):
        with pytest.raises(UserError, match="wants texts"):
            source(given)
    assert torch.equal(source({"text": four()}), source(four()))
