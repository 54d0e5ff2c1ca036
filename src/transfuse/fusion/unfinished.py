"""An output that appears whole or not at all: without it a merge that is killed would leave what looks like one."""

from __future__ import annotations

import contextlib
import glob
import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from transfuse.errors import UserError

_AT_WORK: set[Path] = set()


@contextlib.contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """A place beside `out` that becomes `out` in one step when all went well, and is gone when not.

    Raises UserError where it cannot be made or put there. What merges into `out` that were killed on this machine left
    behind is removed first.
    """
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    mark = f".{out.name}.{re.sub(r'[^A-Za-z0-9_-]', '-', platform.node())}."
    for left in out.parent.glob(f"{glob.escape(mark)}*.tmp"):
        if left not in _AT_WORK and not _running(left.name.removeprefix(mark).removesuffix(".tmp")):
            _remove(left)
    scratch = out.with_name(f"{mark}{os.getpid()}.tmp")
    _AT_WORK.add(scratch)
    try:
        yield scratch
        with writing(out):
            scratch.replace(out)
    finally:
        _remove(scratch)
        _AT_WORK.discard(scratch)


@contextlib.contextmanager
def writing(out: Path) -> Iterator[None]:
    """What goes wrong with the output, told of it: what a source cannot give names the source."""
    try:
        yield
    except OSError as error:
        raise UserError("the output cannot be written", where=str(out), got=str(error)) from error


def _running(process: str) -> bool:
    """Whether another process of this number may run; what is no number, or cannot be asked, is not ours to judge."""
    if not process.isdecimal():
        return True
    if os.name != "posix":
        # There signal 0 asks nothing: on Windows it is Ctrl-C to the whole group.
        return True
    if int(process) == os.getpid():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
