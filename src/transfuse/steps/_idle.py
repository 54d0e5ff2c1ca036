"""Which columns of the blocks that a network reads say nothing; without it nobody would know that they are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transfuse.cells import Schema
from transfuse.evaluation.tables import listed
from transfuse.types import Card

if TYPE_CHECKING:
    from torch import nn

PLAIN = "plain"


def told(crown: nn.Module, reads: Sequence[Sequence[Any]], cards: Sequence[Card]) -> list[dict[str, Any]]:
    """`{of, idle, count}` of each block of a member with columns that are the same in all rows it was settled on: their
    number, or of a table's columns their names, and how many there are. Copies' views of a member are passed over."""
    from transfuse.steps._networks import member_names

    names, found = member_names(cards), []
    joints: Any = crown.joints
    blocks = [read for read in reads if (*read, "block")[3] == "block"]
    for (place, tap, view, *_), joint in zip(blocks, joints, strict=True):
        idle: tuple[int, ...] = getattr(joint, "idle", ())
        if place < 0 or view != PLAIN or not idle:
            continue
        schema = cards[place].prepare.columns
        said = _named(schema, set(idle)) if schema else len(idle)
        if said:
            found.append({"of": f"{names[place]}.{tap}", "idle": said, "count": len(schema) or joint.width})
    return found


def _named(schema: Schema, idle: set[int]) -> list[str]:
    """The columns of a table all of whose entries are idle, in `transfuse.cells`' order of them; that a number is
    missing in some rows says something."""
    numbers = [column[0] for column in schema if len(column) == 1]
    found = {name for place, name in enumerate(numbers) if idle.issuperset((place, len(numbers) + place))}
    start = 2 * len(numbers)
    for name, *categories in (column for column in schema if len(column) > 1):
        if idle.issuperset(range(start, start + len(categories))):
            found.add(name)
        start += len(categories)
    return [column[0] for column in schema if column[0] in found]


def notes(metas: Sequence[Mapping[str, Any]]) -> list[str]:
    """The same in sentences, from the facts of an arm's fits."""
    blocks: dict[str, list[dict[str, Any]]] = {}
    for each in (each for meta in metas for each in meta.get("idle", ())):
        blocks.setdefault(each["of"], []).append(each)
    return [
        f"columns of {name} that are the same in all training rows, and so say nothing: {_in_words(found, len(metas))}"
        for name, found in blocks.items()
    ]


def _in_words(found: Sequence[Mapping[str, Any]], fits: int) -> str:
    count, idle = found[0]["count"], [each["idle"] for each in found]
    if isinstance(idle[0], int):
        least = min(idle) if len(idle) == fits else 0
        return f"{f'{least:,} to ' if least < max(idle) else ''}{max(idle):,} of {count:,}"
    every = list(dict.fromkeys(name for names in idle for name in names))
    always = [name for name in every if len(idle) == fits and all(name in names for names in idle)]
    rest = [name for name in every if name not in always]
    said = [listed(always)] if always else []
    return f"{', '.join([*said, *([f'in some runs {listed(rest)}'] if rest else [])])} (of {count})"
