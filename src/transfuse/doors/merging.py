"""`transfuse merge` from words on a command line: without it each number typed would reach a method as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transfuse.errors import UserError, unknown_name
from transfuse.registry import Entry, Parameter, shelf

WORDS = {"true": True, "false": False, "none": None}


def named_method(name: str) -> Entry:
    """A method of `weights/` by its full or its own name."""
    known = shelf("fusion/weights")
    short = name.removeprefix("weights/")
    if short not in known:
        raise unknown_name("method", name, [entry.full_name for entry in known.values()])
    return known[short]


def named_sources(given: Sequence[str]) -> dict[str, Path]:
    """Sources by name, from FILE or NAME=FILE; names come from file names and must differ."""
    found: dict[str, Path] = {}
    for text in given:
        name, _, file = text.partition("=") if "=" in text and not Path(text).exists() else ("", "", text)
        path = Path(file)
        name = name or path.stem
        if name in found:
            raise UserError(f"two sources would be called '{name}'", hint="name them: first=FILE second=FILE")
        found[name] = path
    return found


def numbers(text: str | None) -> list[float] | None:
    """`0.5,0.5` as numbers."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError("weights are numbers with commas between", expected="0.5,0.5", got=text) from error


def parameters(entry: Entry, given: Sequence[str]) -> dict[str, Any]:
    """`key=value` words as the settings that the method declares; it checks names and ranges itself."""
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError("a parameter is key=value", got=text)
        declared = entry.parameters.get(name)
        found[name] = value if declared is None else _value(declared, value)
    return found


def _value(declared: Parameter, text: str) -> Any:
    """The text as what the parameter asks for; what cannot be read stays text, and the method refuses it by name."""
    if text.lower() in WORDS and declared.type != "str":
        return WORDS[text.lower()]
    try:
        return {"int": int, "float": float}.get(declared.type, str)(text)
    except ValueError:
        return text
