"""Without this, only methods that are already installed could be checked, not the file somebody is writing."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

from transfuse.errors import UserError, unknown_name
from transfuse.registry import METHODS, Entry, method, read_file

SHELVES = METHODS
# What a method of each shelf must define; the first name tells the shelf.
DEFINES = {
    "fusion/weights": ("merge",),
    "fusion/features": ("Fuser",),
    "fusion/structure": ("build",),
    "fusion/outputs": ("fit", "apply"),
    "compress": ("compress",),
}


def entry_of(spec: str) -> Entry:
    """A method by `FAMILY/NAME` (`features/concat`), or a module that is not installed as a plugin yet.

    A module is `pkg.mod` or `pkg.mod:NAME`. Its shelf is the literal `SHELF = "fusion/weights"` if it has one, else it
    follows from what it defines: merge, Fuser, build, compress, fit and apply. `NAME` is one of these and decides where
    a module defines several. The file is read, not run. Raises UserError where nothing or too much fits.
    """
    if "/" in spec:
        return method(spec.removeprefix("fusion/"))
    module, _, wanted = spec.partition(":")
    path = _file_of(module)
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise UserError("this file is no Python that can be read", where=str(path), got=str(error)) from error
    return read_file(_shelf(tree, wanted, str(path)), path, module)


def _file_of(module: str) -> Path:
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError) as error:
        raise _absent(module) from error
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        raise _absent(module)
    return Path(found.origin)


def _absent(module: str) -> UserError:
    if module.endswith((".yaml", ".yml")):
        return UserError("check holds methods to their contract", got=module, hint=f"transfuse plan {module}")
    return UserError(
        f"there is no module '{module}' to check",
        expected="FAMILY/NAME (features/concat), or an importable module (pkg.mod, pkg.mod:merge)",
        hint="is its folder on PYTHONPATH?",
    )


def _shelf(tree: ast.Module, wanted: str, where: str) -> str:
    """The shelf a module belongs to, from its literal or from what it defines at its top level."""
    named = _literal(tree)
    if named is not None and named not in SHELVES:
        raise unknown_name("SHELF", str(named), SHELVES, where=where)
    kinds = ast.FunctionDef, ast.ClassDef
    defined = {node.name for node in tree.body if isinstance(node, kinds)}
    shelves = [shelf for shelf, names in DEFINES.items() if set(names) <= defined]
    if wanted:
        if wanted not in defined:
            raise unknown_name("function or class", wanted, defined, where=where)
        shelves = [shelf for shelf in shelves if wanted in DEFINES[shelf]]
    if named is not None:
        shelves = [shelf for shelf in shelves if shelf == named]
    if len(shelves) != 1:
        raise UserError(
            "this module is no method of one family",
            where=where,
            expected="one of " + "; ".join(f"{shelf}: {' and '.join(names)}" for shelf, names in DEFINES.items()),
            got="it fits " + (" and ".join(shelves) or "none of them"),
            hint='say which: SHELF = "fusion/weights", or pkg.mod:merge',
        )
    return shelves[0]


def _literal(tree: ast.Module) -> object:
    """The value of `SHELF = …`, or None."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "SHELF" for target in targets):
            return node.value.value if isinstance(node.value, ast.Constant) else ast.unparse(node.value)  # pyright: ignore[reportAttributeAccessIssue]
    return None
