"""Commands about methods: what there is, and whether it holds its contract."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from transfuse.doors.commands._common import say
from transfuse.errors import UserError


def methods(
    name: Annotated[str | None, typer.Argument(help="one method, e.g. features/gate")] = None,
    json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """List what fuses or compresses, or tell all of one method. What it does, its parameters and its source."""
    from transfuse.doors.catalogue import as_json, as_text

    say(as_json(name) if json else as_text(name))


def check(
    spec: Annotated[str, typer.Argument(metavar="METHOD", help="features/gate, or pkg.module:name of a plugin")],
) -> None:
    """Hold a method to the contract of its family."""
    # A plugin under development lies in the working directory, which a console script does not search.
    sys.path.insert(0, str(Path.cwd()))
    from transfuse.doors.checking import checked

    results = checked(spec)
    for result in results:
        say(
            f"{'ok  ' if result.passed else 'FAIL'} {result.name}: {result.law}"
            + (f"\n     {result.message}" if not result.passed else "")
        )
    failed = [result.name for result in results if not result.passed]
    say(f"{len(results) - len(failed)} of {len(results)} checks passed")
    if failed:
        raise UserError(f"{spec} breaks its contract", got=", ".join(failed))


def new(
    shelf: Annotated[
        str, typer.Argument(metavar="SHELF", help="features, weights, compress, conditions, train/objectives ...")
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="of the new file, e.g. my_gate")],
    out: Annotated[Path, typer.Option("--out", help="folder for NAME.py and test_NAME.py")] = Path(),
) -> None:
    """Begin a method, metric or question of your own. Writes a file that lacks only its law, and the test of it."""
    from transfuse.doors.writing import entry_point, write

    for path in write(shelf, name, out):
        say(f"written: {path}")
    say(f"next: fill in the law, then pytest {out / f'test_{name}.py'}; to install it as a plugin:")
    say(entry_point(shelf, name))


COMMANDS = (methods, check, new)
