"""Without this, there would be laws but nobody to say which of them a method must keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from transfuse.errors import TransfuseError, UserError
from transfuse.fusion.checks.declared import DECLARED
from transfuse.fusion.checks.law import Family
from transfuse.registry import Entry


@dataclass(frozen=True)
class Check:
    """One law on one method: `run` raises where the law is broken."""

    name: str
    law: str
    run: Callable[[], None]


@dataclass(frozen=True)
class Result:
    """What became of a check; `message` says what went wrong."""

    name: str
    law: str
    passed: bool
    message: str = ""


def checks_for(entry: Entry, family: Family | None = None) -> list[Check]:
    """Every law this method must keep: those of all methods, of its family, and of the traits it declares.

    Families of other rooms bring their laws with them.
    """
    family = _family(entry) if family is None else family
    kept = [law for trait, laws in family.by_trait.items() if entry.traits.get(trait) is True for law in laws]
    own = [_check(law, partial(law, entry)) for law in (*family.always, *kept)]
    return [*(_check(law, partial(law, entry, family)) for law in DECLARED), *own]


def check(entry: Entry, family: Family | None = None) -> list[Result]:
    """Run all checks of a method; a broken law or any fault of the method is a result, not an exception."""
    return [_result(each) for each in checks_for(entry, family)]


def _result(each: Check) -> Result:
    try:
        each.run()
    except Exception as error:  # noqa: BLE001 a stranger's method may fail in any way, and each way is a result
        kind = "" if isinstance(error, TransfuseError) else f"{type(error).__name__}: "
        return Result(each.name, each.law, False, f"{kind}{error}")
    return Result(each.name, each.law, True)


def _check(law: Callable[..., None], run: Callable[[], None]) -> Check:
    return Check(law.__name__, (law.__doc__ or "").split("\n", 1)[0].strip(), run)


def _family(entry: Entry) -> Family:
    # Weights and outputs need no torch, so only the family that is asked for is imported.
    if entry.shelf == "fusion/weights":
        from transfuse.fusion.checks.weights import WEIGHTS as FAMILY
    elif entry.shelf == "fusion/outputs":
        from transfuse.fusion.checks.outputs import OUTPUTS as FAMILY
    elif entry.shelf == "fusion/features":
        from transfuse.fusion.checks.connected import FEATURES as FAMILY
    elif entry.shelf == "fusion/structure":
        from transfuse.fusion.checks.connected import STRUCTURE as FAMILY
    else:
        raise UserError(f"there is no contract for the shelf '{entry.shelf}'", expected="a method that fuses")
    return FAMILY
