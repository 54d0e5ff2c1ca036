"""The look before the run: without it the first thing to try would be whatever came to mind."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from transfuse.doors.commands._common import DATA, Out, Workers, say, say_outcome
from transfuse.errors import UserError


def choose(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE", help="specs, or one recipe.yaml without --data")],
    data: Annotated[str | None, DATA] = None,
    out: Out = None,
    all_scores: Annotated[bool, typer.Option("--all-scores", help="also NCE, N-LEEP, TransRate, GBC and PARC")] = False,
    canvas: Annotated[int | None, typer.Option(help="side of the images in pixels; default as in a run")] = None,
    rows: Annotated[int, typer.Option(min=20, help="rows to look at, at most")] = 5000,
    json: Annotated[bool, typer.Option("--json", help="the evidence as JSON instead of a summary")] = False,
    workers: Workers = None,
) -> None:
    """Rank sources and pairs before the run. Is a second model worth it? It looks at frozen features; no test row is
    opened."""
    from transfuse.doors.console import Progress
    from transfuse.jsonio import pretty
    from transfuse.run.choosing import Asked, choose
    from transfuse.run.run import Request

    recipe, root = _recipe(sources, data, canvas)
    asked = Asked(all_scores, rows, _command(sources, data, all_scores=all_scores, canvas=canvas, rows=rows))
    progress = Progress()
    try:
        outcome = choose(
            Request(recipe, root, out or Path("runs/choose"), listeners=(progress,), workers=workers), asked
        )
    finally:
        progress.close()
    if json:
        say(pretty(outcome.evidence).rstrip())
        return
    say_outcome(outcome)


def _recipe(sources: list[str], data: str | None, canvas: int | None) -> tuple[Any, Path]:
    from transfuse.plan.recipe import read, validated

    if data is None:
        path = Path(sources[0])
        if len(sources) > 1 or path.suffix not in (".yaml", ".yml"):
            hint = "transfuse choose SOURCE... --data DATA, or transfuse choose recipe.yaml"
            raise UserError("there is nothing to look at the sources on", expected="--data", hint=hint)
        if canvas is not None:
            raise UserError("a recipe states its own canvas", where=str(path), got=f"--canvas {canvas}")
        return read(path), path.parent
    entry = data if canvas is None else {"read": data, "canvas": canvas}
    return validated({"sources": sources, "data": entry}, where="choose"), Path.cwd()


def _command(sources: list[str], data: str | None, *, all_scores: bool, canvas: int | None, rows: int) -> str:
    words = ["transfuse", "choose", *sources]
    words += ["--data", data] if data is not None else []
    words += ["--canvas", str(canvas)] if canvas is not None else []
    words += ["--rows", str(rows)] if rows != 5000 else []
    words += ["--all-scores"] if all_scores else []
    return shlex.join(words)


COMMANDS = (choose,)
