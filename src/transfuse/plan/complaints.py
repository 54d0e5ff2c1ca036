"""What is wrong with a recipe, in sentences: without it a user would read how the parser sees the recipe."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from transfuse.errors import nearest

# What the parser calls the ways in which one key may be written.
ALTERNATIVES = ("str", "float", "int", "list[str]", "dict[str,any]", "literal['auto']", "[key]")
# How the parser begins to say what is wrong; its sentences stop before what was given.
TOLD, LONGEST_SHOWN = "Input should ", 60


def sentence(problem: Any, keys: Callable[[tuple[Any, ...]], Collection[str]]) -> str:
    """One problem that pydantic found, with its path; `keys` tells which keys are known at a location."""
    path = ".".join(str(part) for part in problem["loc"] if part not in ALTERNATIVES)
    if problem["type"] == "extra_forbidden":
        name, known = str(problem["loc"][-1]), sorted(keys(problem["loc"][:-1]))
        near = nearest(name, known)
        return f"unknown key '{path}'" + (f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(known)}")
    if problem["type"] == "missing":
        return f"'{path}' is missing"
    if problem["type"] == "model_type":
        known = ", ".join(sorted(keys(problem["loc"])))
        return f"{path}: must be a mapping of {known}, got {shown(problem['input'])}"
    message = problem["msg"].removeprefix("Value error, ")
    if message.startswith(TOLD) and not isinstance(problem["input"], dict | list):
        message = f"must {message.removeprefix(TOLD)}, got {shown(problem['input'])}"
    return f"{path}: {message}" if path else message


def shown(value: Any) -> str:
    """What was given, as far as it fits a line."""
    try:
        return repr(str(value)[:LONGEST_SHOWN])
    except ValueError:
        return "a number of thousands of digits"
