"""The command line. Every command imports what it needs when it runs, so that `--help` costs a moment.

Exit codes: 0 the job is done, whatever the verdict; 2 something the user can fix, told in one message; 1 our bug.
"""

from __future__ import annotations

import codecs
import errno
import io
import sys
from typing import Annotated, NoReturn

import typer

from transfuse import __version__
from transfuse.doors.commands import choosing, merging, methods, results, running, trust
from transfuse.errors import TransfuseError, UserError, printable

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
ROOMS = (running, choosing, results, methods, merging, trust)
for command in (command for room in ROOMS for command in room.COMMANDS):
    app.command()(command)

INTERRUPTED = 130
# Commands that keep what is done, and take it up again.
RESUMED = ("demo", "compare", "run", "choose")
PLAIN = {"−": "-", "–": "-", "…": "...", "×": "x", "≥": ">=", "≤": "<=", "→": "->", "“": '"', "”": '"', "’": "'"}
FULL = "make room and run again; what is done is kept"
BARRED = (
    "what is read must be there and readable; what is written needs a place that may be written to: "
    "--out DIR for results, $TRANSFUSE_STORE for what is kept between runs"
)
REFUSED = {errno.ENOSPC: FULL, errno.EDQUOT: FULL} | dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EEXIST, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR), BARRED
)


def _told(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"transfuse {__version__}\n")
        raise typer.Exit


@app.callback()
def transfuse(
    version: Annotated[
        bool, typer.Option("--version", callback=_told, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Fuse pretrained models, and know whether it pays."""


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
        said = UserError(
            f"a file cannot be read or written: {error.strerror}", where=str(error.filename or ""), hint=hint
        )
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
    further = "; run again to continue where it was" if sys.argv[1:2] and sys.argv[1] in RESUMED else ""
    sys.stderr.write(f"stopped{further}\n")
    sys.exit(INTERRUPTED)


def plain(error: UnicodeError) -> tuple[str, int]:
    """For streams that cannot show a sign: one that they can, since a verdict without its minus would be another."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(sign, "?") for sign in error.object[error.start : error.end]), error.end
