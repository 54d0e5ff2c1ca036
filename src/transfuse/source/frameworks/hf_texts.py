"""What the configuration of a Hugging Face model says of texts: without it a model of words would be shown pixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfuse.errors import UserError
from transfuse.files.texts import json_object
from transfuse.files.tokenizers import NAME as TOKENIZER
from transfuse.files.tokenizers import read_tokenizer
from transfuse.source.tokens import Words, prepare_of

if TYPE_CHECKING:
    from transfuse.source.text_models import Transformer
    from transfuse.types import Prepare

HEADED = {"ForSequenceClassification": "AutoModelForSequenceClassification"}
# Of these the first place of a text has the number after that of padding.
SHIFTED = ("camembert", "data2vec-text", "longformer", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl", "xmod")
OF_IMAGES = ("image_size", "vision_config", "patch_size")
USUAL_TOKENS, USUAL_PLACES = 256, 512


def reads_texts(settings: Mapping[str, Any]) -> bool:
    """Whether a model reads texts, and nothing else: it has words, and no size of images."""
    return "vocab_size" in settings and not any(name in settings for name in OF_IMAGES)


def padding(settings: Mapping[str, Any]) -> int:
    """The number that stands where a text has ended."""
    given = settings.get("pad_token_id")
    return given if isinstance(given, int) and not isinstance(given, bool) and given >= 0 else 0


def most_tokens(settings: Mapping[str, Any]) -> int:
    """How many tokens the model has places for."""
    places = settings.get("max_position_embeddings")
    places = places if isinstance(places, int) and not isinstance(places, bool) and places > 0 else USUAL_PLACES
    return places - (padding(settings) + 1 if settings.get("model_type") in SHIFTED else 0)


def words_of(files: Mapping[str, Path], known: object, where: str) -> Words:
    """A model's tokenizer. Raises UserError where there is no tokenizer.json, or it knows more tokens than the model,
    which knows so many."""
    if TOKENIZER not in files:
        hint = "save the tokenizer in its fast form: AutoTokenizer.from_pretrained(...).save_pretrained(DIR)"
        raise UserError("a model of texts needs its tokenizer", where=where, expected=TOKENIZER, hint=hint)
    words = Words(read_tokenizer(files[TOKENIZER], where), special=True)
    if not isinstance(known, int) or words.largest >= known:
        raise UserError(
            "the tokenizer knows more tokens than the model", where=where,
            expected=f"token numbers below {known}", got=f"{words.largest:,}",
        )  # fmt: skip
    return words


def given_words(
    network: Transformer, files: Mapping[str, Path], config: Path, tokens: int | None, where: str
) -> Prepare:
    """Give a network its tokenizer; gives how it wants its texts.

    Raises UserError where there is no tokenizer.json, where it knows more tokens than the model, and for more tokens
    than the model has places for.
    """
    settings = json_object(config, f"{config.name} of '{where}' cannot be read")
    words = words_of(files, settings["vocab_size"], where)
    most = most_tokens(settings)
    wanted = min(most, USUAL_TOKENS) if tokens is None else tokens
    if not 1 <= wanted <= most:
        raise UserError("tokens out of range", where=where, expected=f"1 to {most}", got=str(wanted))
    network.words = words
    return prepare_of(wanted)
