"""Commands about weight files: merging them, and looking at what they are and where they come from."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from transfuse.doors.commands._common import say
from transfuse.errors import UserError


def merge(  # noqa: PLR0913 - a command's options are its parameters
    method: Annotated[str | None, typer.Argument(metavar="METHOD", help="mean, ties: see transfuse methods")] = None,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="safetensors, folders of shards, URLs of both, .pt, specs, FILE+LORA; or NAME=FILE",
        ),
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", help="a .safetensors file, or a new folder for shards, also a URL; needed")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="a mergekit configuration instead")] = None,
    base: Annotated[str | None, typer.Option(help="the checkpoint all sources started from")] = None,
    weights: Annotated[str | None, typer.Option(help="one number a source, e.g. 0.5,0.5")] = None,
    align: Annotated[str, typer.Option(help="a way of aligning units first, e.g. weight_matching")] = "none",
    arch: Annotated[
        str | None, typer.Option(help="the network the files belong to, e.g. torchvision:resnet18; for --align")
    ] = None,
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
    """Merge checkpoints of one architecture into one. Tensor by tensor, without loading them."""
    from transfuse.doors.merging import Order, carried_out, configured
    from transfuse.files.remote import place

    if out is None:
        raise UserError("where to?", hint="transfuse merge METHOD A B --out merged.safetensors")
    if config is not None:
        others = {"METHOD": method, "--base": base, "--weights": weights, "--arch": arch, "--parameter": parameter}
        said = [name for name, given in others.items() if given]
        settings = (
            ("--align", align, "none"),
            ("--statistics", statistics, "mean"),
            ("--counters", counters, "largest"),
        )
        said += [name for name, given, usual in settings if given != usual]
        if said:
            raise UserError(
                "a configuration says all of a merge", where=str(config), got=", ".join(said), hint="leave these out"
            )
        order = configured(config, place(out))
    elif method is None or not sources:
        raise UserError("what shall be merged?", hint="transfuse merge METHOD A B --out FILE, or --config FILE")
    else:
        given = tuple(parameter or ())
        order = Order(method, sources, place(out), base, weights, given, statistics, counters, align=align, arch=arch)
    with _stoppable():
        say(carried_out(order, workers, hashes=hashes))


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C and a request to end take away what is half written, and end with 128 plus the signal's number."""
    asked: list[int] = []

    def stop(number: int, frame: object) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("stopped; nothing was written\n")
        raise SystemExit(128 + (asked or [signal.SIGINT])[0]) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def inspect(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL", help="weight files, also by URL, graphs, arrays, images, or a model's folder"),
    ],
    base: Annotated[str | None, typer.Option(help="the checkpoint they are said to start from")] = None,
    json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Tell what a file is, and whether it is safe to load. Also where it comes from; of several weight files, whether
    they come from one start. Nothing in a file is run."""
    from transfuse.doors.catalogue import related
    from transfuse.doors.inspecting import inspected
    from transfuse.files.remote import Remote, place

    if len(models) == 1 and base is None:
        say(inspected([place(models[0])], as_json=json))
        return
    if json:
        say(related(models, base, as_json=True))
        return
    files = [each for each in map(place, models) if isinstance(each, Remote) or each.is_file()]
    told = inspected(files, as_json=False)
    say(f"{told}\n\n{related(models, base, as_json=False)}".strip())


COMMANDS = (merge, inspect)
