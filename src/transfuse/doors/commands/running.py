"""Commands that do the whole job: without them a comparison could only be started from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from transfuse.doors.commands._common import Data, Ladder, Out, Sources, Workers, new_file, say, say_outcome


def demo(
    out: Out = None,
    per_class: Annotated[int, typer.Option(min=2, max=100, help="training images per class")] = 10,
    workers: Workers = None,
) -> None:
    """See the whole job on an embedded example. Offline: three small networks on scikit-learn's digits."""
    from transfuse.doors.demo import recipe

    carry_out(recipe(per_class), Path.cwd(), out or Path("runs/demo"), workers)


def compare(
    sources: Sources,
    data: Data,
    out: Out = None,
    budget: Annotated[
        str | None, typer.Option(help="time for training, e.g. 20min; the verdict is on what is done by then")
    ] = None,
    ladder: Ladder = "quick",
    task: Annotated[str, typer.Option(help="kind of task: multiclass, multilabel or regression")] = "multiclass",
    workers: Workers = None,
) -> None:
    """Find out whether fusing these sources pays. The whole job without a recipe."""
    from transfuse.plan.recipe import validated

    given: dict[str, Any] = {"sources": sources, "data": data, "ladder": ladder, "task": {"kind": task}}
    if budget is not None:
        given["budget"] = {"train": budget}
    carry_out(validated(given, where="compare"), Path.cwd(), out or Path("runs/compare"), workers)


def run(
    recipe: Annotated[Path, typer.Argument(help="a YAML recipe")],
    out: Out = None,
    workers: Workers = None,
    engine: Annotated[
        str, typer.Option(help="where steps run: local, or ray (a cluster at $RAY_ADDRESS, else one on this machine)")
    ] = "local",
    track: Annotated[
        str | None, typer.Option(help="tell of the run once it has ended: mlflow:runs.db, mlflow:http://host:5000")
    ] = None,
) -> None:
    """Carry out a recipe. Run again to resume, or to get the same results at no cost."""
    from transfuse.errors import unknown_name
    from transfuse.plan.recipe import read
    from transfuse.registry import shelf

    if engine not in shelf("run/engines"):
        raise unknown_name("engine", engine, shelf("run/engines"))
    carry_out(read(recipe), recipe.parent, out or Path("runs") / recipe.stem, workers, engine, track)


def plan(recipe: Annotated[Path, typer.Argument(help="a YAML recipe")]) -> None:
    """Show what a recipe will do, and what it will cost. Its steps, what is in the store already, and what follows a
    choice."""
    from transfuse.doors.planned import describe
    from transfuse.plan.recipe import read
    from transfuse.run.guest import memory_kept

    # The probe is kept for the runs that follow, so it is made as they are.
    with memory_kept():
        say(describe(read(recipe), recipe.parent))


def init(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="a folder, CSV, idx:DIR, npz:FILE, wds:DIR or sklearn:digits")
    ],
    sources: Sources,
    out: Annotated[Path, typer.Option("--out", help="where the recipe goes")] = Path("recipe.yaml"),
) -> None:
    """Write a recipe for this data and these sources. It looks at both."""
    from transfuse.doors.planned import written_recipe
    from transfuse.store import write_text

    new_file(out)
    text, summary = written_recipe(data, sources, Path.cwd(), out)
    write_text(out, text)
    say(f"{summary}\nwritten: {out}\nnext: transfuse plan {out}; transfuse run {out}")


def carry_out(
    recipe: Any, root: Path, out: Path, workers: int | None, engine: str = "local", track: str | None = None
) -> None:
    """Run a recipe with progress, then say what came out and where it is."""
    from transfuse.doors.console import Progress
    from transfuse.run.run import Request, run

    progress = Progress()
    try:
        outcome = run(Request(recipe, root, out, listeners=(progress,), workers=workers, engine=engine, track=track))
    finally:
        progress.close()
    say_outcome(outcome)


COMMANDS = (demo, compare, run, plan, init)
