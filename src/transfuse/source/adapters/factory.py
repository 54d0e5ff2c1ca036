"""A network that a function of your own makes: `factory:pkg.module:make`; the function takes nothing and is trusted.

The module is looked for beside the recipe first. Its random numbers come from the option `seed`. With `checkpoint` it
goes on from a file of its own training: weights, and in a `.pt` file perhaps the optimiser's state beside them.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from transfuse.errors import UserError, unknown_name
from transfuse.source.building import from_file, seeded
from transfuse.source.spec import Built, Spec, local

PARAMETERS = {
    "seed": {"type": "int", "default": 0, "low": 0, "doc": "which draw, for a factory that starts at random"},
    "checkpoint": {"type": "str", "default": None, "doc": "a file of its training so far (.safetensors, .pt, .pth)"},
}


def matches(spec: Spec) -> bool:
    """Whether this adapter serves the spec."""
    return spec.scheme == "factory"


def files(spec: Spec, root: Path) -> list[Path]:
    """The checkpoint, where one is named; else no file decides its card: what the function gives does."""
    return [local(root, spec.options["checkpoint"])] if "checkpoint" in spec.options else []


def build(spec: Spec, root: Path) -> Built:
    """The network as the function gives it. Raises UserError where there is no such function, or it gives no module."""
    from torch import nn

    make = _function(spec, root)
    with seeded(spec):
        made = make()
    if not isinstance(made, nn.Module):
        raise UserError(
            "this factory gives no torch.nn.Module",
            where=spec.text,
            expected="a function without arguments that gives one",
            got=type(made).__name__,
        )
    if "checkpoint" in spec.options:
        return from_file(spec, files(spec, root)[0], Built(made))
    return Built(made, seen="none")


def _function(spec: Spec, root: Path) -> Any:
    module, colon, name = spec.target.partition(":")
    if not colon or not module or not name:
        raise UserError("a factory is written pkg.module:function", where=spec.text, got=spec.target)
    sys.path.insert(0, str(root))
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"the module '{module}' of this factory cannot be imported",
            where=spec.text,
            got=str(error),
            hint="put it beside the recipe, or install it",
        ) from error
    finally:
        sys.path.remove(str(root))
    made = getattr(found, name, None)
    if not callable(made):
        known = [key for key, value in vars(found).items() if callable(value) and not key.startswith("_")]
        raise unknown_name(f"function of {module}", name, known, where=spec.text)
    return made
