"""Without this, a fused network printed itself as a thousand layers that say nothing of where they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from transfuse.fusion.parts import Borrowed
from transfuse.reads import RECIPIENT
from transfuse.source.base import Source
from transfuse.source.sections import Section

if TYPE_CHECKING:
    from transfuse.fusion.fused import Fused

DEPTH = 3


def tree(model: Fused) -> str:
    """The network as a tree: what comes from which source, what is new, how much of it, and what is frozen.

    Marks: `frozen` no number learns; `partly frozen` some do; `from SOURCE` runs there but belongs to the source.
    """
    method = f"{model.crown.method} → {len(model.crown.classes)} classes"
    lines = [f"{model.card.name}: {method}, {_size(model)}{_mark(model)}"]
    own = [] if model.recipient is None else [(RECIPIENT, model.recipient)]
    for name, source in [*((name, model.member(name)) for name in model.names), *own]:
        taps = [f"{read.tap} ({read.use})" if read.use != "block" else read.tap for read in model.reads_of(name)]
        lines.append(f"├─ {name}: {source.card.spec}, {_size(source)}{_mark(source)}")
        lines.append(f"│    read at {', '.join(taps) or 'nothing'}")
        lines += [f"│    {line}" for line in _parts(getattr(source, "network", source), 1)]
    lines.append(f"└─ new: {_size(model.crown)}{_mark(model.crown)}")
    lines += [f"     {line}" for line in [*_parts(model.crown.body, DEPTH), f"head: {_told(model.crown.head)}"]]
    return "\n".join(lines)


def _parts(module: nn.Module, depth: int) -> list[str]:
    """The named children down to a depth; what is borrowed or of a recipient is named, not opened."""
    lines = []
    for name, child in module.named_children():
        if isinstance(child, nn.Identity | nn.Dropout):
            continue
        lines.append(f"{name}: {_told(child)}")
        opened = isinstance(child, Borrowed | Section) or depth <= 1
        lines += [] if opened else [f"  {line}" for line in _parts(child, depth - 1)]
    return lines


def _told(module: nn.Module) -> str:
    if isinstance(module, Borrowed):
        part = module.__dict__["part"]
        origin = part.card.name if isinstance(part, Source) else part.label.split(".", 1)[0]
        return f"from {origin}: {module.extra_repr()}{_mark(part)}"
    if isinstance(module, Section):
        return f"recipient's own: {module.label}, {_size(module)}{_mark(module)}"
    said = module.extra_repr()
    facts = f"({said})" if said and len(said) < 80 and "\n" not in said else ""
    return f"{type(module).__name__}{facts}, {_size(module)}{_mark(module)}"


def _size(module: nn.Module) -> str:
    count = sum(parameter.numel() for parameter in module.parameters())
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit} parameters"
    return f"{count} parameters"


def _mark(module: nn.Module) -> str:
    learning = [parameter.requires_grad for parameter in module.parameters()]
    if not learning or all(learning):
        return ""
    return ", partly frozen" if any(learning) else ", frozen"
