"""One registry for every shelf: the folder is the list, and a file's literal declarations are read without running it.

A shelf file declares, at module level and as literals: `CITATION` (authors, venue, year), `PARAMETERS`
({name: {"type", "default", "low", "high", "options", "doc"}}) and `TRAITS` ({name: bool or str}); each may be left out.
`COST` tells a forecast what one fit takes ({"microseconds", "times", "pairs"}, see `Entry.fit_seconds`).
Its docstring's first line is its law. The class or function that does the work has the name its shelf asks for.
Plugins are entry points in the group `transfuse.SHELF` (with dots for slashes) whose value is a module. One that is
broken is warned of once and left out; it is an error where it is asked for by name.
"""

from __future__ import annotations

import ast
import copy
import functools
import hashlib
import importlib
import importlib.util
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from transfuse.costs import COMPRESSING, stated
from transfuse.errors import TransfuseError, UserError, first_line, many_problems, unknown_name

PACKAGE = Path(__file__).parent
DECLARATIONS = ("CITATION", "PARAMETERS", "TRAITS", "NEEDS", "REVISION", "ORDER", "READS", "COST")
TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,), "float": (int, float), "bool": (bool,), "str": (str,), "list": (list, tuple),
}  # fmt: skip

WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "list": "a list"}


@dataclass(frozen=True)
class Parameter:
    """One declared setting of a method: its type, default, range and meaning.

    `example` is another value for the contract suite, where one near the default would not suit three small sources.
    """

    name: str
    type: str
    default: Any
    low: float | None = None
    high: float | None = None
    options: tuple[str, ...] = ()
    doc: str = ""
    example: Any = None

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value, or None."""
        if value is None and self.default is None:
            return None
        wrong_type = not isinstance(value, TYPES[self.type]) or (isinstance(value, bool) and self.type != "bool")
        if wrong_type or self._outside(value):
            return f"{self.name} must be {self.describe()}, got {value!r}"
        return None

    def _outside(self, value: Any) -> bool:
        too_low = self.low is not None and value < self.low
        too_high = self.high is not None and value > self.high
        return too_low or too_high or (bool(self.options) and value not in self.options) or value != value

    def describe(self) -> str:
        """The range in words."""
        if self.options:
            return "one of " + ", ".join(self.options)
        if self.low is not None and self.low == self.high:
            return f"{self.low:g}"
        bounds = [(word, edge) for word, edge in (("from", self.low), ("to", self.high)) if edge is not None]
        return " ".join([WORDS[self.type], *(f"{word} {edge:g}" for word, edge in bounds)])

    def invalid(self) -> Any:
        """A value that must be refused, for the contract suite."""
        if self.low is not None:
            return self.low - 1
        return object() if self.type != "str" else 7


@dataclass(frozen=True)
class Entry:
    """One file of a shelf as its literals describe it."""

    shelf: str
    name: str
    path: Path
    module: str
    law: str
    doc: str
    citation: str
    parameters: Mapping[str, Parameter]
    traits: Mapping[str, Any]
    needs: tuple[str, ...]
    revision: int
    order: int
    digest: str
    reads: tuple[Mapping[str, str], ...] = ()
    cost: Mapping[str, Any] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """`features/concat` for a method of a family, else `SHELF/NAME`."""
        return f"{self.shelf.removeprefix('fusion/')}/{self.name}"

    def load(self) -> ModuleType:
        """Import the file; only now may it pull in torch. Raises UserError for a plugin that fails at that."""
        try:
            return importlib.import_module(self.module)
        except TransfuseError:
            raise
        except Exception as error:
            if self.module.startswith("transfuse."):
                raise
            raise _unimportable(self.full_name, self.module, error) from error

    def fit_seconds(self, members: int, pairs: int, settings: Mapping[str, Any]) -> float:
        """CPU seconds of one fit to `pairs` = rows x classes of each member, by the method's `COST`; 0 without one.

        microseconds * members * min(pairs, COST["pairs"]), times each setting that COST["times"] names.
        """
        if not self.cost:
            return 0.0
        numbers = members * min(pairs, self.cost.get("pairs", pairs))
        return 1e-6 * self.cost["microseconds"] * numbers * math.prod(settings[name] for name in self.cost["times"])

    def compressing(self, settings: Mapping[str, Any]) -> dict[str, float]:
        """What a compression costs with these settings, by its `COST`; what it does not state is 0, its `pace` 1. Other
        numbers stand `where` a parameter has a value; True is any that says something."""
        found = dict.fromkeys(COMPRESSING, 0.0) | {"pace": 1.0}
        found |= {name: float(value) for name, value in self.cost.items() if name != "where"}
        for name, value, others in self.cost.get("where", ()):
            held = settings.get(name)
            if held == value or (value is True and held):
                found |= {key: float(each) for key, each in others.items()}
        return found

    def settings(self, given: Mapping[str, Any], *, where: str | None = None) -> dict[str, Any]:
        """The declared defaults overlaid with `given`; unknown names and bad values are one error."""
        for name in given:
            if name not in self.parameters:
                raise unknown_name(f"parameter of {self.full_name}", name, self.parameters, where=where)
        problems = [text for name, value in given.items() if (text := self.parameters[name].problem(value))]
        if problems:
            raise many_problems(f"{self.full_name} refuses its parameters", problems, where=where)
        return {name: given.get(name, parameter.default) for name, parameter in self.parameters.items()}


def read_file(shelf: str, path: Path, module: str) -> Entry:
    """Read one shelf file's docstring and literals without importing it."""
    text = path.read_text(encoding="utf-8")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise UserError(f"this {shelf} file is not Python: {error}", where=str(path)) from error
    found: dict[str, Any] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name) and target.id in DECLARATIONS:
                try:
                    found[target.id] = ast.literal_eval(node.value)
                except (ValueError, TypeError) as error:
                    raise UserError(
                        f"{target.id} must be a literal, so that it can be read without running the file",
                        where=f"{path}:{node.lineno}",
                    ) from error
    doc = ast.get_docstring(tree) or ""
    parameters = {name: _parameter(name, facts, path) for name, facts in found.get("PARAMETERS", {}).items()}
    return Entry(
        shelf=shelf,
        name=path.stem,
        path=path,
        module=module,
        law=doc.split("\n", 1)[0].strip(),
        doc=doc,
        citation=found.get("CITATION", ""),
        parameters=parameters,
        traits=found.get("TRAITS", {}),
        needs=tuple(found.get("NEEDS", ())),
        revision=found.get("REVISION", 1),
        order=found.get("ORDER", 100),
        digest=hashlib.sha256(text.encode()).hexdigest(),
        reads=tuple(found.get("READS", ())),
        cost=stated(shelf, found.get("COST", {}), parameters, path),
    )


def _parameter(name: str, facts: Mapping[str, Any], path: Path) -> Parameter:
    try:
        made = Parameter(name=name, **facts)
    except TypeError as error:
        raise UserError(f"the parameter '{name}' is not declared as it should be: {error}", where=str(path)) from error
    if made.type not in TYPES:
        raise unknown_name("type of a parameter", str(made.type), TYPES, where=f"{path}, parameter '{name}'")
    return made


class Shelf(dict[str, Entry]):
    """Entries by name; `broken` are plugins that are none, with what is wrong, which is raised where they are asked
    for. It is never theirs to take the others along."""

    def __init__(self, entries: Mapping[str, Entry], broken: Mapping[str, UserError]) -> None:
        super().__init__(sorted(entries.items()))
        self.broken = broken

    def __missing__(self, name: str) -> Entry:
        # A copy: an error that is raised keeps all frames it went through.
        raise copy.copy(self.broken[name]) if name in self.broken else KeyError(name)


@functools.cache
def shelf(name: str) -> Shelf:
    """All entries of a shelf by name, those of this package and those of plugins, sorted. Warns of broken plugins.
    Raises UserError for a plugin that has the name of another entry."""
    folder = PACKAGE.joinpath(*name.split("/"))
    entries: dict[str, Entry] = {}
    broken: dict[str, UserError] = {}
    for path in sorted(folder.glob("*.py")):
        if not path.stem.startswith("_"):
            entries[path.stem] = read_file(name, path, ".".join(["transfuse", *name.split("/"), path.stem]))
    for point in entry_points(group="transfuse." + name.replace("/", ".")):
        if point.name in entries:
            raise UserError(f"plugin '{point.name}' clashes with {entries[point.name].full_name}", where=point.value)
        try:
            entries[point.name] = _plugin(name, point.name, point.value)
        except UserError as error:
            broken[point.name] = error
            warnings.warn(f"{error} (left out of {name})", stacklevel=2)
    return Shelf(entries, broken)


def _plugin(shelf: str, name: str, module: str) -> Entry:
    """A plugin's entry, under the name of its entry point, whatever its file is called. Raises UserError for one that
    is not there, cannot be read, or whose package cannot be imported."""
    try:
        origin = importlib.util.find_spec(module)
        entry = None if origin is None or origin.origin is None else read_file(shelf, Path(origin.origin), module)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise _unimportable(name, module, error) from error
        entry = None
    except UserError:
        raise
    except Exception as error:
        raise _unimportable(name, module, error) from error
    if entry is None:
        hint = "pip install or uninstall what brings it"
        raise UserError(f"plugin '{name}' names the module '{module}', which cannot be found", hint=hint)
    return replace(entry, name=name)


def _unimportable(name: str, module: str, error: Exception) -> UserError:
    got, hint = f"{type(error).__name__}: {first_line(error)}", "mend, upgrade or uninstall what brings it"
    return UserError(f"plugin '{name}' cannot be imported", where=module, got=got, hint=hint)


def find(shelf_name: str, name: str, *, where: str | None = None) -> Entry:
    """One entry, or an error that offers the nearest names."""
    entries = shelf(shelf_name)
    if name not in entries and name not in entries.broken:
        raise unknown_name(shelf_name.rsplit("/", 1)[-1], name, entries, where=where)
    return entries[name]


FAMILIES = ("weights", "features", "structure", "outputs")
# The fifth family works on what the others make, so it has a room of its own.
METHODS = (*(f"fusion/{family}" for family in FAMILIES), "compress")


def method(full_name: str, *, where: str | None = None) -> Entry:
    """A method by `FAMILY/NAME`, e.g. `features/concat` or `compress/prune`."""
    name = full_name.rpartition("/")[2]
    for family in METHODS:
        entries = shelf(family)
        here = full_name == f"{family.removeprefix('fusion/')}/{name}"
        if here and (name in entries or name in entries.broken):
            return entries[name]
    known = [entry.full_name for family in METHODS for entry in shelf(family).values()]
    raise unknown_name("method", full_name, known, where=where)


def kinds_of(entry: Entry) -> tuple[str, ...]:
    """The kinds of task that an entry holds for: names with commas in `TRAITS["kinds"]`; multiclass where none is."""
    return tuple(name.strip() for name in str(entry.traits.get("kinds", "multiclass")).split(","))
