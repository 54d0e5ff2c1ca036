"""Commands about weight files: merging them, and looking at what they are and where they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from transfuse.doors.commands._common import say


def merge(  # noqa: PLR0913 - a command's options are its parameters
    method: Annotated[str, typer.Argument(metavar="METHOD", help="mean, slerp, ties ...: see transfuse methods")],
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="safetensors, folders of shards, .pt, specs, FILE+LORA; or NAME=FILE"),
    ],
    out: Annotated[Path, typer.Option("--out", help="a .safetensors file, or a new folder for shards")],
    base: Annotated[str | None, typer.Option(help="the checkpoint all sources started from")] = None,
    weights: Annotated[str | None, typer.Option(help="one number a source, e.g. 0.5,0.5")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="key=value, as often as needed")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="tensors at once; the result does not depend on it")
    ] = None,
    hashes: Annotated[bool, typer.Option("--hash/--no-hash", help="SHA-256 of every file in the manifest")] = True,
    statistics: Annotated[str, typer.Option(help="BatchNorm's statistics: mean, moments or first")] = "mean",
    counters: Annotated[str, typer.Option(help="BatchNorm's counters: largest, sum or first")] = "largest",
) -> None:
    """Merge checkpoints of one architecture into one, tensor by tensor, without loading them."""
    from transfuse.doors.merging import Order, carried_out

    order = Order(method, sources, out, base, weights, tuple(parameter or ()), statistics, counters)
    say(carried_out(order, workers, hashes=hashes))


def inspect(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="weight files")],
    json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """What a weight file is, read from its header, and whether it is safe to load; nothing in it is run."""
    from transfuse.doors.catalogue import inspected

    say(inspected(models, as_json=json))


COMMANDS = (merge, inspect)
