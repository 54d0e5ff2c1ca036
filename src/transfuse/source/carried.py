"""Files that hold a network's architecture go where the network is saved: without them nobody could build it again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from torch import nn

from transfuse.source.base import Source
from transfuse.source.spec import parse
from transfuse.store import write_bytes
from transfuse.types import Card

FOLDER = "sources"


def moved_card(source: Source) -> Card:
    """The card as it reads in the folder of a saved model: its spec names the copy of its files there."""
    if not source.files:
        return source.card
    spec = parse(source.card.spec)
    options = "&".join(f"{name}={value}" for name, value in spec.options.items())
    text = f"{spec.scheme}:{_place(source)}" + (f"?{options}" if options else "")
    return replace(source.card, spec=text)


def copy_files(model: nn.Module, folder: Path) -> None:
    """Copy the files that the sources of a model need to be built again."""
    for source in _sources(model):
        for path in source.files:
            target = folder / _place(source)
            if len(source.files) > 1:
                top = source.files[0].parent
                target /= path.relative_to(top) if path.is_relative_to(top) else path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(target, path.read_bytes())


def _sources(model: nn.Module) -> Iterable[Source]:
    return (module for module in model.modules() if isinstance(module, Source) and module.files)


def _place(source: Source) -> str:
    """By content, so that two sources of one file share the copy; a folder where there are several files."""
    short, first = source.card.sha256[:16], source.files[0]
    return f"{FOLDER}/{short}" if len(source.files) > 1 else f"{FOLDER}/{short}-{first.name}"
