"""Label sets tied together by name; without this file a source that calls a class otherwise would be of no use.

A source's own classes are its columns, the target's classes are what is asked for. Classes of one name are the same.
Where names differ, a mapping {own: target} says which is which: several own classes may stand for one of the target's,
and one that stands for none is mapped to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transfuse.errors import UserError, many_problems, nearest

SHOWN = 5
Mapped = Mapping[str, str | None]


@dataclass(frozen=True)
class Alignment:
    """Where own classes go: own class i stands for the target's class number `columns[i]`, or for none (-1)."""

    own: tuple[str, ...]
    target: tuple[str, ...]
    columns: tuple[int, ...]

    @property
    def known(self) -> tuple[bool, ...]:
        """Which of the target's classes are known. [C]."""
        found = set(self.columns)
        return tuple(number in found for number in range(len(self.target)))

    @property
    def whole(self) -> bool:
        """Whether every class of the target is known."""
        return all(self.known)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The target's classes that nothing stands for."""
        return tuple(name for name, there in zip(self.target, self.known, strict=True) if not there)

    @property
    def left(self) -> tuple[str, ...]:
        """The own classes that stand for nothing."""
        return tuple(name for name, column in zip(self.own, self.columns, strict=True) if column < 0)


def align(
    own: Sequence[str],
    target: Sequence[str],
    given: Mapped | list[str | None] | tuple[str | None, ...] | None = None,
    *,
    width: int | None = None,
    where: str,
) -> Alignment:
    """Own classes against the target's: by name, by a mapping {own: target}, or by a list with one entry a column.

    A mapping says all there is to say of the classes it names; those it does not name are matched by name. `width` is
    the number of columns, which a list must have; without names (`own` empty) only a list says anything. Errors, each
    with the nearest names: a mapping of classes that are not there, to classes that the target does not have.
    """
    place = {name: number for number, name in enumerate(target)}
    if isinstance(given, list | tuple):
        return _listed(own, target, list(given), len(own) if width is None else width, where)
    if given and not own:
        raise UserError(
            "a mapping needs the names of the own classes, and they are not known", where=where,
            expected="a list with one class (or null) for each column",
        )  # fmt: skip
    said: dict[str, str | None] = {} if given is None else {str(name): wanted for name, wanted in given.items()}
    problems = [f"'{name}' is no own class{_near(name, own)}" for name in said if name not in own]
    problems += [
        f"'{name}' stands for '{wanted}', which the target does not have{_near(wanted, target)}"
        for name, wanted in said.items()
        if wanted is not None and wanted not in place
    ]
    if problems:
        raise many_problems("this mapping of classes does not fit", problems, where=where)
    columns = [-1 if said.get(name, name) is None else place.get(str(said.get(name, name)), -1) for name in own]
    return Alignment(tuple(own), tuple(target), tuple(columns))


def _listed(own: Sequence[str], target: Sequence[str], given: list[Any], width: int, where: str) -> Alignment:
    if len(given) != width:
        raise UserError(
            "classes are listed for another number of columns", where=where, expected=f"{width}", got=f"{len(given)}"
        )
    strange = [f"'{name}'{_near(str(name), target)}" for name in given if name is not None and name not in target]
    if strange:
        raise many_problems("listed classes that the target does not have", strange, where=where)
    columns = [-1 if name is None else list(target).index(name) for name in given]
    names = own or [str(number) if name is None else str(name) for number, name in enumerate(given)]
    return Alignment(tuple(names), tuple(target), tuple(columns))


def joined(found: Sequence[Alignment], *, where: str) -> Alignment:
    """One alignment of networks that share their columns: each column stands for what any of them says.

    Raises `UserError` where two say different things of one column.
    """
    first, columns = found[0], list(found[0].columns)
    for each in found[1:]:
        for number, column in enumerate(each.columns):
            if column >= 0 and columns[number] not in (-1, column):
                raise UserError(
                    f"column {number} stands for different classes", where=where,
                    got=f"'{first.target[columns[number]]}' and '{first.target[column]}'",
                )  # fmt: skip
            columns[number] = max(columns[number], column)
    return Alignment(first.own, first.target, tuple(columns))


def refusal(found: Alignment, what: str, *, where: str) -> UserError:
    """Says which of the target's classes are not known, each with the own classes that are called most like it."""
    shown = [f"'{name}'{_near(name, found.left)}" for name in found.unknown[:SHOWN]]
    more = f" and {len(found.unknown) - SHOWN} more" if len(found.unknown) > SHOWN else ""
    names = ", ".join(found.own[:SHOWN]) + (f" and {len(found.own) - SHOWN} more" if len(found.own) > SHOWN else "")
    return UserError(
        what,
        where=where,
        expected="the target's classes, by these names: " + ", ".join(shown) + more,
        got=names or "no class names",
        hint="classes: {OWN: TARGET, …}, a CSV own,target, or a list with one class a column",
    )


def _near(name: str, options: Sequence[str]) -> str:
    """The options that are called most like it, in words; case does not count."""
    plain = {option.casefold(): option for option in options}
    near = [plain[found] for found in nearest(name.casefold(), list(plain))]
    return f" (nearest: {', '.join(near)})" if near else ""
