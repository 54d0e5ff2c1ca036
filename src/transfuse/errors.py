"""The two kinds of failure: what the user can fix, and what is our bug.

Every message a user can act on has one shape: what happened, where, what was expected, what was found, what to try.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def printable(text: str, keep: str = "\n\t") -> str:
    """Text that can be shown anywhere: what a terminal would obey, or what turns the writing round, becomes `�`.

    Names come out of strangers' files; an escape sequence in one could clear the screen and forge a verdict. Line ends
    become `�` too where `keep` leaves them out, so that a name cannot pretend to be another line of a message.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() or c in keep else "�" for c in text)


class TransfuseError(Exception):
    """Anything this package raises on purpose."""


class UserError(TransfuseError):
    """A problem the user can fix; the command line prints it without a traceback and exits 2.

    `what` is one sentence. The other parts are optional and appear on lines of their own.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        got: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.expected = expected
        self.got = got
        self.hint = hint
        super().__init__(self.message())

    def message(self) -> str:
        """The whole message, one part a line."""
        parts = [("where", self.where), ("expected", self.expected), ("got", self.got), ("try", self.hint)]
        told = [f"  {name}: {printable(text, keep='')}" for name, text in parts if text]
        return "\n".join([printable(self.what), *told])

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders by pickling; keyword-only arguments need this help.
        return (_rebuild, (type(self), self.what, self.where, self.expected, self.got, self.hint))


class UnsafeFileError(UserError):
    """A foreign file was refused before anything in it could run."""


class BusyError(UserError):
    """Another process holds what this one needs."""


class MissingExtraError(UserError):
    """An optional package is not installed; the message names the install command."""


def _rebuild(kind: type[UserError], what: str, *parts: str | None) -> UserError:
    where, expected, got, hint = parts
    return kind(what, where=where, expected=expected, got=got, hint=hint)


def first_line(error: BaseException | str, most: int = 200) -> str:
    """The first line of what an error says that is not blank, cut to `most` characters; of one that says nothing the
    name of its class, so that no message ends in nothing."""
    said = str(error).strip().splitlines()
    return (said[0].rstrip() if said else type(error).__name__)[:most]


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory did not suffice, as Python, numpy, and PyTorch on any device spell it."""
    told = isinstance(error, RuntimeError) and "allocate memory" in str(error)
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or told


def missing_extra(package: str, extra: str, needed_for: str) -> MissingExtraError:
    """The error for an absent optional package, with the command that installs it."""
    return MissingExtraError(
        f"{needed_for} needs the package '{package}', which is not installed",
        hint=f"pip install 'transfuse[{extra}]'",
    )


def unknown_name(kind: str, name: str, known: Iterable[str], *, where: str | None = None) -> UserError:
    """An error for a name that does not exist, offering the nearest ones that do."""
    options = sorted(known)
    near = nearest(str(name), options)
    shown = ", ".join(options[:20]) + (f", and {len(options) - 20} more" if len(options) > 20 else "")
    return UserError(
        f"unknown {kind} '{name}'",
        where=where,
        expected=f"one of {shown}" if options else f"there is no {kind} to choose from",
        hint=" or ".join(near) if near else None,
    )


def nearest(name: str, options: Sequence[str], count: int = 2) -> list[str]:
    """The options most like `name`, best first; the last part after '/' counts as well as the whole."""
    whole = difflib.get_close_matches(name, options, n=count, cutoff=0.6)
    tail = {option.rsplit("/", 1)[-1]: option for option in options}
    parts = [tail[match] for match in difflib.get_close_matches(name.rsplit("/", 1)[-1], list(tail), n=count)]
    return list(dict.fromkeys([*whole, *parts]))[:count]


def many_problems(
    title: str, problems: Sequence[str], *, where: str | None = None, hint: str | None = None
) -> UserError:
    """One error that lists every problem at once, so that fixing is one pass."""
    shown = [f"  - {problem}" for problem in problems[:20]]
    if len(problems) > 20:
        shown.append(f"  - and {len(problems) - 20} more")
    return UserError("\n".join([f"{title} ({len(problems)})", *shown]), where=where, hint=hint)
