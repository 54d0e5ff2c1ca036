"""Without these laws, what a method's file says of itself could differ from what the method is and takes."""

from __future__ import annotations

import importlib.util
import inspect
import sys

from transfuse.errors import UserError
from transfuse.fusion.checks.law import BrokenLawError, Family, quiet, require, require_refused
from transfuse.registry import TYPES, Entry, Parameter


def described(entry: Entry, family: Family) -> None:
    """The file opens with its law in one sentence, and cites where the method comes from."""
    require(len(entry.law.split()) >= 3 and entry.law[-1:] in ".:", f"the docstring opens with '{entry.law}'")
    require(bool(entry.citation.strip()), "CITATION is missing or empty")


def literals(entry: Entry, family: Family) -> None:
    """What is declared as literals is what the imported module has."""
    module = entry.load()
    found = {name: Parameter(name=name, **facts) for name, facts in getattr(module, "PARAMETERS", {}).items()}
    pairs = [
        ("PARAMETERS", found, dict(entry.parameters)),
        ("TRAITS", getattr(module, "TRAITS", {}), dict(entry.traits)),
        ("CITATION", getattr(module, "CITATION", ""), entry.citation),
        ("NEEDS", tuple(getattr(module, "NEEDS", ())), entry.needs),
        ("REVISION", getattr(module, "REVISION", 1), entry.revision),
    ]
    for name, imported, read in pairs:
        require(imported == read, f"{name} is {imported!r} once imported, but {read!r} in the file")


def quiet_import(entry: Entry, family: Family) -> None:
    """Importing the file leaves the global random state alone."""
    entry.load()
    name = f"{entry.module}__again"
    spec = importlib.util.spec_from_file_location(name, entry.path)
    if spec is None or spec.loader is None:
        raise BrokenLawError(f"{entry.path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name while it runs.
    sys.modules[name] = module
    try:
        with quiet("importing the file"):
            spec.loader.exec_module(module)
    finally:
        del sys.modules[name]


def parameters(entry: Entry, family: Family) -> None:
    """Every parameter is explained, has a default that it accepts itself, and is taken by the method."""
    for name, parameter in entry.parameters.items():
        require(parameter.type in TYPES, f"{name} has the unknown type '{parameter.type}'")
        require(bool(parameter.doc), f"{name} has no doc")
        require(parameter.problem(parameter.default) is None, f"{name} refuses its own default {parameter.default!r}")
    maker = getattr(entry.load(), family.maker, None)
    require(callable(maker), f"the file defines no '{family.maker}'")
    taken = list(inspect.signature(maker).parameters)[family.given :]  # pyright: ignore[reportArgumentType]
    # A merge finds its settings in its unit; everywhere else they are arguments.
    wanted = [] if family.maker == "merge" else [*entry.parameters, *(need for need in entry.needs if need == "about")]
    require(sorted(taken) == sorted(wanted), f"{family.maker} takes {sorted(taken)}, but declared are {sorted(wanted)}")


def refuses_settings(entry: Entry, family: Family) -> None:
    """A value outside the declared range, or a name that is not declared, is refused with a UserError that names it."""
    for name, parameter in entry.parameters.items():
        bad = parameter.invalid()
        require_refused(lambda name=name, bad=bad: family.use(entry, {name: bad}), name, case=f"{name}={bad!r}")
    require_refused(lambda: family.use(entry, {"no_such_setting": 1}), "no_such_setting", case="an unknown setting")


def honest(entry: Entry, family: Family) -> None:
    """Every trait of the family is declared, and one that is declared false is really false on the test data."""
    for trait, laws in family.by_trait.items():
        require(isinstance(entry.traits.get(trait), bool), f"the trait '{trait}' must be declared as True or False")
        if trait in family.two_sided and entry.traits[trait] is False:
            broken = any(_breaks(entry, law) for law in laws)
            require(broken, f"'{trait}' is declared false, but the method keeps its law: declare it true")


def _breaks(entry: Entry, law: object) -> bool:
    try:
        law(entry)  # pyright: ignore[reportCallIssue]
    except (BrokenLawError, UserError):
        return True
    return False


DECLARED = (described, literals, quiet_import, parameters, refuses_settings, honest)
