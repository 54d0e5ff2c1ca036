"""Holding a method to its family's laws, whichever room these laws are in; without it `check` would know all rooms."""

from __future__ import annotations

from transfuse.fusion.checks.suite import Result
from transfuse.plan.compressed import SHELF
from transfuse.plan.compressed import WORDS as COMPRESSED
from transfuse.plan.words import RESERVED
from transfuse.registry import Entry


def checked(spec: str) -> list[Result]:
    """What became of every law of a method, `FAMILY/NAME` or a module under development."""
    from transfuse.fusion.checks import entry_of

    entry = entry_of(spec)
    return [*_of_family(entry), words(entry)]


def words(entry: Entry) -> Result:
    """Whether every parameter can be said in a recipe, where some words say something of the candidate itself."""
    reserved = COMPRESSED if entry.shelf == SHELF else RESERVED
    taken = [word for word in reserved if word in entry.parameters]
    message = f"a recipe reads {', '.join(taken)} as its own and never gives it to the method: rename it"
    return Result("words", "no parameter is called as a word of the recipe is", not taken, message if taken else "")


def _of_family(entry: Entry) -> list[Result]:
    if entry.shelf == SHELF:
        from transfuse.compress._checks import check as check_compression

        return check_compression(entry)
    from transfuse.fusion.checks import check

    return check(entry)
