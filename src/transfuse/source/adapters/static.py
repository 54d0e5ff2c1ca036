"""`static:DIR` are embeddings of tokens without a network: a table in safetensors and its tokenizer.json.

The forms of Model2Vec and WordLlama: one file with one table [V, D], perhaps `weights` [V] and `mapping` [V] to its
rows. A text is the mean of its tokens' vectors, so it costs next to nothing; the table trains.
"""

from __future__ import annotations

from pathlib import Path

from transfuse.errors import UserError, unknown_name
from transfuse.source.building import seeded
from transfuse.source.spec import Built, Spec, local

TRAITS = {"carries": "*", "drawn": True, "packages": "tokenizers"}
PARAMETERS = {
    "tokens": {"type": "int", "default": 512, "low": 1, "high": 4096, "doc": "how many tokens of a text are read"},
    "seed": {"type": "int", "default": 0, "low": 0, "doc": "which random table"},
}
TOKENS, MOST_TOKENS = 512, 4096


def matches(spec: Spec) -> bool:
    """Whether this adapter serves the spec."""
    return spec.scheme == "static"


def files(spec: Spec, root: Path) -> list[Path]:
    """The table and the tokenizer. Raises UserError where one of them is missing, or there are several tables."""
    folder = local(root, spec.target)
    tables = sorted(folder.glob("*.safetensors"))
    if len(tables) != 1 or not (folder / "tokenizer.json").is_file():
        got = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) if folder.is_dir() else "no such folder"
        raise UserError(
            "this is no folder of static embeddings", where=spec.text,
            expected="one .safetensors file and tokenizer.json", got=got or "nothing",
        )  # fmt: skip
    return [tables[0], folder / "tokenizer.json"]


def build(spec: Spec, root: Path) -> Built:
    """The table. Raises UserError where it is none, or has no row for a token."""
    from transfuse.files.tokenizers import read_tokenizer
    from transfuse.source.static_tables import loaded
    from transfuse.source.tokens import Words, prepare_of

    if spec.tag not in (None, "random"):
        raise unknown_name("tag of static:", str(spec.tag), ["random"], where=spec.text)
    table, words = files(spec, root)
    tokens = spec.number("tokens", TOKENS)
    if not 1 <= tokens <= MOST_TOKENS:
        raise UserError("tokens out of range", where=spec.text, expected=f"1 to {MOST_TOKENS}", got=str(tokens))
    network = loaded(table, spec.text)
    network.words = Words(read_tokenizer(words, spec.text), special=False)
    known = network.table.num_embeddings if network.rows is None else len(network.rows)
    if network.words.largest >= known:
        raise UserError(
            "the tokenizer knows more tokens than the table has rows", where=spec.text,
            expected=f"token numbers below {known:,}", got=f"{network.words.largest:,}",
        )  # fmt: skip
    if spec.random:
        with seeded(spec):
            network.table.reset_parameters()
    return Built(network, prepare_of(tokens), notes=(f"reads the first {tokens} tokens of a text",))
