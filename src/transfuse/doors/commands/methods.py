"""Commands about methods and weight files: what there is, whether it holds its contract, merging, inspecting."""

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
    """Every fusing method: what it does, its parameters and its source."""
    from transfuse.doors.catalogue import as_json, as_text

    say(as_json(name) if json else as_text(name))


def check(
    spec: Annotated[str, typer.Argument(metavar="METHOD", help="features/gate, or pkg.module:name of a plugin")],
) -> None:
    """Hold a method to the contract of its family."""
    # A plugin under development lies in the working directory, which a console script does not search.
    sys.path.insert(0, str(Path.cwd()))
    from transfuse.fusion.checks import check as run_checks
    from transfuse.fusion.checks import entry_of

    results = run_checks(entry_of(spec))
    for result in results:
        say(
            f"{'ok  ' if result.passed else 'FAIL'} {result.name}: {result.law}"
            + (f"\n     {result.message}" if not result.passed else "")
        )
    failed = [result.name for result in results if not result.passed]
    say(f"{len(results) - len(failed)} of {len(results)} checks passed")
    if failed:
        raise UserError(f"{spec} breaks its contract", got=", ".join(failed))


def merge(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="mean, slerp, ties ...: see transfuse methods")],
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="safetensors files, folders of shards, .pt; or NAME=FILE")
    ],
    out: Annotated[Path, typer.Option("--out", help="a .safetensors file, or a new folder for shards")],
    base: Annotated[Path | None, typer.Option(help="the checkpoint all sources started from")] = None,
    weights: Annotated[str | None, typer.Option(help="one number a source, e.g. 0.5,0.5")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="key=value, as often as needed")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="tensors at once; the result does not depend on it")] = 1,
) -> None:
    """Merge checkpoints of one architecture into one, tensor by tensor, without loading them."""
    from transfuse.doors.merging import named_method, named_sources, numbers, parameters
    from transfuse.fusion.streamed import Sizes, merge_files

    entry, given = named_method(method), named_sources(sources)
    settings = parameters(entry, parameter or [])
    merge_files(entry, given, out, weights=numbers(weights), base=base, settings=settings, sizes=Sizes(workers=workers))
    say(f"{entry.full_name} of {', '.join(given)}\nwritten: {out}")


def inspect(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="weight files")],
    json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """What a weight file is, read from its header, and whether it is safe to load; nothing in it is run."""
    from transfuse.doors.catalogue import inspected

    say(inspected(models, as_json=json))


COMMANDS = (methods, check, merge, inspect)
