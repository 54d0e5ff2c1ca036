"""Recipes as text: without one careful reader a few lines of YAML could stand for gigabytes."""

from __future__ import annotations

import difflib
import io
from pathlib import Path
from typing import Any

from transfuse.errors import UserError

LARGEST_RECIPE_BYTES = 256 << 10
DEEPEST_NESTING = 32
SURROGATES = frozenset(map(chr, range(0xD800, 0xE000)))


def loaded(text: str, *, where: str) -> Any:
    """Plain values from YAML 1.2 text; aliases are refused, since a few lines of them can stand for gigabytes."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if len(text.encode()) > LARGEST_RECIPE_BYTES:
        raise UserError(
            "this recipe is too large to be one",
            where=where,
            expected="at most 256 KiB",
            got=f"{len(text):,} characters",
        )
    try:
        _refuse_traps(text, where)
        return YAML(typ="safe", pure=True).load(io.StringIO(text))
    except (YAMLError, RecursionError, ValueError) as error:
        # A ValueError is a scalar that looks like a date or a number and is none.
        problem = getattr(error, "problem", None) or (str(error) if isinstance(error, ValueError) else "it is not YAML")
        mark = getattr(error, "problem_mark", None)
        place = f"{where}, line {mark.line + 1}" if mark else where
        raise UserError(f"the recipe cannot be read: {problem}", where=place) from None


def _refuse_traps(text: str, where: str) -> None:
    """Aliases can stand for gigabytes and deep nesting for hours: both end here, after their first lines."""
    from ruamel.yaml import YAML
    from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

    depth = 0
    for event in YAML(typ="safe", pure=True).parse(io.StringIO(text)):
        if {"\0", *SURROGATES} & set(getattr(event, "value", None) or ""):
            raise UserError("the recipe holds text that is none", where=where, got="a nul character or half a pair")
        if getattr(event, "anchor", None):
            raise UserError("recipes have no anchors or aliases (&name)", where=where, hint="write the value out")
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST_NESTING:
            raise UserError(
                "the recipe is nested too deeply", where=where, expected=f"at most {DEEPEST_NESTING} levels"
            )


def text_of(path: Path) -> str:
    """A recipe file's text; its size is looked at before it is read."""
    if not path.is_file():
        folder = path.parent if path.parent.is_dir() else Path()
        near = difflib.get_close_matches(path.name, [item.name for item in folder.glob("*.y*ml")], n=1)
        what = "a recipe is a file, and this is a folder" if path.is_dir() else "there is no such recipe"
        raise UserError(what, where=str(path), hint=str(folder / near[0]) if near else None)
    if path.stat().st_size > LARGEST_RECIPE_BYTES:
        raise UserError(
            "this recipe is too large to be one",
            where=str(path),
            expected="at most 256 KiB",
            got=f"{path.stat().st_size:,} bytes",
        )
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError("the recipe is not UTF-8 text", where=str(path)) from error


def dumped(values: Any) -> str:
    """Values as YAML; what is no plain value is told by its type."""
    from ruamel.yaml import YAML

    out = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 120
    yaml.dump(_plain(values), out)
    return out.getvalue()


def _plain(value: Any) -> Any:
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str) and value[:1] in ("?", ":"):
        # The YAML writer leaves these bare inside braces, where they are marks of a key and a value.
        return DoubleQuotedScalarString(value)
    return value if isinstance(value, str | int | float | bool | None) else f"({type(value).__name__} given in Python)"
