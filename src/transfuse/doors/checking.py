"""Holding a method to its family's laws, whichever room these laws are in; without it `check` would know all rooms."""

from __future__ import annotations

from transfuse.fusion.checks.suite import Result


def checked(spec: str) -> list[Result]:
    """What became of every law of a method, `FAMILY/NAME` or a module under development."""
    from transfuse.fusion.checks import check, entry_of

    entry = entry_of(spec)
    if entry.shelf == "compress":
        from transfuse.compress._checks import check as check_compression

        return check_compression(entry)
    return check(entry)
