"""`pkg.module:name?key=value` points at a user's own Python; without it every place that takes one would search anew.

A module is looked for in a folder (that of the recipe) before Python's own path. Its file is found, and hashed, without
running it.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from transfuse.errors import UserError, unknown_name
from transfuse.jsonio import digest, file_digest

FORM = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*)(\?(?P<options>.*))?")
_imported: dict[str, str] = {}


@dataclass(frozen=True)
class Pointer:
    """A module, a name in it, and options; `text` is the whole as it was written."""

    module: str
    name: str
    options: Mapping[str, str]
    text: str


def is_pointer(text: str) -> bool:
    """Whether a name points at a user's own Python."""
    return ":" in text


def pointer(text: str, options: tuple[str, ...] = (), *, where: str | None = None) -> Pointer:
    """A pointer taken apart. Errors: another form, options that mean nothing here."""
    found = FORM.fullmatch(text)
    pairs = [part.partition("=") for part in (found["options"] or "").split("&") if part] if found else []
    if found is None or not all(mark for _, mark, _ in pairs):
        raise UserError(
            "this points at nothing", where=where, expected="pkg.module:name or pkg.module:name?key=value", got=text
        )
    for key, _, _ in pairs:
        if key not in options:
            raise unknown_name("option", key, options, where=f"{where}, '{text}'" if where else f"'{text}'")
    return Pointer(found["module"], found["name"], {key: value for key, _, value in pairs}, text)


def source_file(where_to: Pointer, folder: Path) -> Path:
    """The module's file, found without importing anything. Errors: there is none."""
    search: list[str] | None = [str(folder), *sys.path]
    spec, walked = None, ""
    for part in where_to.module.split("."):
        walked = f"{walked}.{part}" if walked else part
        spec = PathFinder.find_spec(walked, search)
        if spec is None:
            break
        search = list(spec.submodule_search_locations or [])
    if spec is None or spec.origin is None:
        raise UserError(
            f"there is no module '{where_to.module}'",
            where=where_to.text,
            expected=f"a Python file in {folder} or an installed package",
        )
    return Path(spec.origin)


def code_digest(where_to: Pointer, folder: Path) -> str:
    """A hash of the pointer and of its module's file: what a result that rests on it is keyed by."""
    return digest([where_to.text, file_digest(source_file(where_to, folder))])


def loaded(where_to: Pointer, folder: Path) -> Any:
    """What the pointer points at, imported; a module whose file has changed since is imported again.

    Errors: the module fails while it is imported, or has nothing of that name (the nearest is offered).
    """
    now = file_digest(source_file(where_to, folder))
    known = sys.modules.get(where_to.module)
    with _searched(folder):
        try:
            if known is not None and _imported.get(where_to.module, now) != now:
                known = importlib.reload(known)
            module = known or importlib.import_module(where_to.module)
            _imported[where_to.module] = now
            if not hasattr(module, where_to.name):
                # A module may be meant that its package does not import by itself.
                _try_import(f"{where_to.module}.{where_to.name}")
        except Exception as error:
            raise UserError(
                f"the module '{where_to.module}' cannot be imported",
                where=where_to.text,
                got=f"{type(error).__name__}: {error}"[:300],
            ) from error
    if not hasattr(module, where_to.name):
        raise unknown_name(
            f"name in {where_to.module}", where_to.name, [name for name in dir(module) if name[0] != "_"]
        )
    return getattr(module, where_to.name)


def _try_import(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in (name, name.rpartition(".")[0]):
            raise


@contextmanager
def _searched(folder: Path) -> Iterator[None]:
    """The folder first on Python's path, for a while."""
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)
