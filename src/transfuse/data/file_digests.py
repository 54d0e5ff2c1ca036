"""Files as items by the hashes of what they hold: without it each kind of file would be checked in its own way."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path

from transfuse.data.items import content_digest
from transfuse.errors import UserError, many_problems

_UNCHECKED = ContextVar("unchecked", default=False)


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Inside, an item that cannot be read is one too, by its name, and who reads it meets the error: one torn photo
    must not end the answers for ten thousand. What is no part of a question (labels, groups, splits) is not read."""
    token = _UNCHECKED.set(True)
    try:
        yield
    finally:
        _UNCHECKED.reset(token)


def checking() -> bool:
    """Whether a set must be whole, as one to learn from or to judge on; not inside `unchecked`."""
    return not _UNCHECKED.get()


def file_digests(
    paths: Sequence[Path], content: Callable[[Path], bytes], title: str, *, where: str, hint: str
) -> list[str]:
    """The hash of every file's content; all that `content` refuses are named in one error."""
    found: list[str] = []
    problems: list[str] = []
    for path in paths:
        try:
            found.append(content_digest(content(path)))
        except UserError as error:
            found.append(content_digest(os.fsencode(path)))
            problems.append(f"{path}: {in_short(error)}")
    if problems and checking():
        raise many_problems(title, problems, where=where, hint=hint)
    return found


def in_short(error: UserError) -> str:
    """What is wrong with a file, on one line."""
    return error.what + (f" ({error.got})" if error.got else "")
