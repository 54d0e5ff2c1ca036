"""Conditions as a recipe names them: checked against the shelf's declarations, so that plans need no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator

from transfuse.errors import nearest
from transfuse.registry import Entry, shelf

SHELF = "conditions"


def checked(given: Any) -> dict[str, list[Any]]:
    """`{corruption: [1, 3, 5], blur: 3}`: a kind or a name of the shelf, and its levels, in rising order.

    Raises ValueError for unknown names (the nearest offered) and for levels that a condition does not have.
    """
    if not isinstance(given, Mapping):
        raise ValueError(f"conditions map names to levels, e.g. {{corruption: [1, 3, 5]}}, got {given!r}")
    found: dict[str, list[Any]] = {}
    for name, levels in given.items():
        several = list(levels) if isinstance(levels, list | tuple) else [levels]
        problems = [
            text
            for entry in named(str(name))
            for level in several
            if (text := entry.parameters["level"].problem(level))
        ]
        if problems or not several:
            raise ValueError(f"{name}: {problems[0] if problems else 'no level is given'}")
        found[str(name)] = sorted(set(several))
    return found


def attacks_of(given: Mapping[str, Sequence[Any]]) -> dict[tuple[str, Any], Entry]:
    """The asked conditions that are made against an arm, by name and level."""
    return {each: entry for each, entry in _asked(given).items() if entry.traits.get("against")}


def changes_of(given: Mapping[str, Sequence[Any]]) -> dict[tuple[str, Any], Entry]:
    """The asked conditions that are the same for every arm, by name and level."""
    return {each: entry for each, entry in _asked(given).items() if not entry.traits.get("against")}


def _asked(given: Mapping[str, Sequence[Any]]) -> dict[tuple[str, Any], Entry]:
    return {(entry.name, level): entry for name, levels in given.items() for entry in named(name) for level in levels}


def named(name: str) -> list[Entry]:
    """The conditions of a kind, or the one of that name."""
    entries = shelf(SHELF)
    kinds = {str(entry.traits["kind"]) for entry in entries.values()}
    if name in kinds:
        return [entry for entry in entries.values() if entry.traits["kind"] == name]
    if name in entries:
        return [entries[name]]
    near = nearest(name, sorted({*kinds, *entries}))
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted({*kinds, *entries}))}"
    raise ValueError(f"unknown condition '{name}'; {hint}")


Conditions = Annotated[dict[str, list[Any]], BeforeValidator(checked)]
