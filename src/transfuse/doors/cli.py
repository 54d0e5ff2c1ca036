"""The command line. Every command imports what it needs when it runs, so that `--help` costs a moment.

Exit codes: 0 the job is done, whatever the verdict; 2 something the user can fix, told in one message; 1 our bug.
"""

from __future__ import annotations

import codecs
import errno
import io
import sys
from typing import NoReturn

import typer

from transfuse.doors.commands import choosing, merging, methods, results, running, trust
from transfuse.errors import TransfuseError, UserError, printable

app = typer.Typer(
    help="Fuse pretrained models, and know whether it pays.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
ROOMS = (running, choosing, results, methods, merging, trust)
for command in (command for room in ROOMS for command in room.COMMANDS):
    app.command()(command)

INTERRUPTED = 130
PLAIN = {"−": "-", "–": "-", "…": "...", "×": "x", "≥": ">=", "≤": "<=", "→": "->", "“": '"', "”": '"', "’": "'"}
FULL = "make room and run again; what is done is kept"
BARRED = "choose a place that may be written to: --out DIR for results, $TRANSFUSE_STORE for what is kept between runs"
REFUSED = {errno.ENOSPC: FULL, errno.EDQUOT: FULL} | dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EEXIST, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR), BARRED
)


def main() -> None:
    """Run the command line and end with its exit code."""
    codecs.register_error("plain", plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")
    try:
        app()
    except UserError as error:
        sys.stderr.write(f"error: {error.message()}\n")
        sys.exit(2)
    except TransfuseError as error:
        sys.stderr.write(f"error: {printable(str(error))}\n")
        sys.exit(1)
    except OSError as error:
        # A full disk, a folder that is a file, a missing right: the user's to mend, and what is done is kept.
        if error.filename is None and error.errno is None:
            raise
        hint = REFUSED.get(error.errno or 0, "mend it and run again; what is done is kept")
        said = UserError(f"the system refused: {error.strerror}", where=str(error.filename or ""), hint=hint)
        sys.stderr.write(f"error: {said.message()}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as end:
        # So the library of the command line ends where it caught the interrupt itself.
        if end.code == INTERRUPTED:
            _stopped()
        raise


def _stopped() -> NoReturn:
    sys.stderr.write("stopped; run again to continue where it was\n")
    sys.exit(INTERRUPTED)


def plain(error: UnicodeError) -> tuple[str, int]:
    """For streams that cannot show a sign: one that they can, since a verdict without its minus would be another."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(sign, "?") for sign in error.object[error.start : error.end]), error.end
