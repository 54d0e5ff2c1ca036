"""Small sources and data of texts, made on the spot: a tokenizer, static embeddings, a BERT, and notes of two kinds."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import torch
from safetensors.torch import save_file

COOKING = ["salt", "pepper", "oven", "bake", "flour", "butter", "onion", "soup", "stir", "taste"]
SAILING = ["wind", "sail", "mast", "harbour", "wave", "anchor", "deck", "rope", "tide", "boat"]
COMMON = ["the", "a", "and", "with", "of", "then", "very", "some", "more", "little", "again"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *COMMON, *COOKING, *SAILING]
WIDTH = 12


def notes(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """(text, label): mostly common words, and a few of one of two subjects, now and then of the other."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        own, other = (COOKING, SAILING) if number % 2 else (SAILING, COOKING)
        words = [*rng.choices(COMMON, k=8), *rng.choices(own, k=2), *rng.choices(other, k=1)]
        rng.shuffle(words)
        found.append((" ".join(words), "cooking" if number % 2 else "sailing"))
    return found


def write_csv(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerows([("text", "label"), *rows])
    return path


def write_tokenizer(folder: Path, *, framed: bool) -> None:
    """A tokenizer of whole words; `framed` puts [CLS] and [SEP] around a text."""
    folder.mkdir(parents=True, exist_ok=True)
    number = {word: place for place, word in enumerate(WORDS)}
    frame = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]} if framed else None
    facts = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
        "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": frame,
        "decoder": None, "model": {"type": "WordLevel", "vocab": number, "unk_token": "[UNK]"},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(facts), encoding="utf-8")


def write_table(folder: Path, seed: int = 0, **more: torch.Tensor) -> Path:
    """Static embeddings in half precision; `more` are tensors beside the table."""
    write_tokenizer(folder, framed=False)
    table = torch.randn(len(WORDS), WIDTH, generator=torch.Generator().manual_seed(seed)).half()
    save_file({"embedding.weight": table, **more}, folder / "model.safetensors")
    return folder


def write_bert(folder: Path, *, headed: bool = False, places: int = 32, seed: int = 0) -> Path:
    """A BERT of two layers with random weights, with or without a classifier."""
    from transfuse.source.frameworks import hf_models

    library = hf_models.package("test")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    names = {"id2label": {0: "cooking", 1: "sailing"}, "label2id": {"cooking": 0, "sailing": 1}} if headed else {}
    config = library.BertConfig(vocab_size=len(WORDS), max_position_embeddings=places, **sizes, **names)
    write_tokenizer(folder, framed=True)
    with torch.random.fork_rng(devices=[]), hf_models._quiet(library):
        torch.manual_seed(seed)
        kind = library.BertForSequenceClassification if headed else library.BertModel
        kind(config).save_pretrained(folder)
    return folder
