"""The command line. Every command imports what it needs when it runs, so that `--help` costs a moment.

Exit codes: 0 the job is done, whatever the verdict; 2 something the user can fix, told in one message; 1 our bug.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from transfuse.errors import TransfuseError, UserError

app = typer.Typer(
    help="Fuse pretrained models, and know whether it pays.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Sources = Annotated[
    list[str], typer.Argument(metavar="SOURCE...", help="e.g. torchvision:resnet18 timm:vit_tiny_patch16_224")
]
Data = Annotated[
    str, typer.Option("--data", help="a folder of class folders, a CSV, idx:DIR, npz:FILE or sklearn:digits")
]
Out = Annotated[Path | None, typer.Option("--out", help="folder for the results; default runs/NAME")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="steps at once; results do not depend on it")]
Ladder = Annotated[str, typer.Option("--ladder", help="quick, standard or full: which comparisons are made")]


def say(text: str) -> None:
    """Print for people and programs alike."""
    sys.stdout.write(text + "\n")


def carry_out(recipe: Any, root: Path, out: Path, workers: int | None) -> None:
    """Run a recipe with progress, then say what came out and where it is."""
    from transfuse.doors.console import Progress
    from transfuse.report.terminal import render_terminal
    from transfuse.run.run import Request, run

    progress = Progress()
    try:
        outcome = run(Request(recipe, root, out, listeners=(progress,), workers=workers))
    finally:
        progress.close()
    say(render_terminal(outcome.evidence))
    made = "nothing had to be computed" if outcome.executed == 0 else f"{outcome.executed} steps computed"
    say(f"{made}, {outcome.reused} taken from the store, {outcome.cpu_seconds:.0f} CPU seconds")
    say(f"report: {outcome.folder.report}")


@app.command()
def demo(
    out: Out = None,
    per_class: Annotated[int, typer.Option(min=2, max=100, help="training images per class")] = 10,
    workers: Workers = None,
) -> None:
    """The whole job on an embedded example, offline: three small networks on scikit-learn's digits."""
    from transfuse.doors.demo import recipe

    carry_out(recipe(per_class), Path.cwd(), out or Path("runs/demo"), workers)


@app.command()
def compare(
    sources: Sources,
    data: Data,
    out: Out = None,
    budget: Annotated[
        str | None, typer.Option(help="time for training, e.g. 20min; the verdict is on what is done by then")
    ] = None,
    ladder: Ladder = "quick",
    workers: Workers = None,
) -> None:
    """Is a fusion of these sources better than the best of them? The whole job without a recipe."""
    from transfuse.plan.recipe import validated

    given: dict[str, Any] = {"sources": sources, "data": data, "ladder": ladder}
    if budget is not None:
        given["budget"] = {"train": budget}
    carry_out(validated(given, where="compare"), Path.cwd(), out or Path("runs/compare"), workers)


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="a YAML recipe")],
    out: Out = None,
    workers: Workers = None,
    engine: Annotated[str, typer.Option(help="local")] = "local",
) -> None:
    """Carry out a recipe; run again to resume, or to get the same results at no cost."""
    from transfuse.errors import unknown_name
    from transfuse.plan.recipe import read

    if engine != "local":
        raise unknown_name("engine", engine, ["local"])
    carry_out(read(recipe), recipe.parent, out or Path("runs") / recipe.stem, workers)


@app.command()
def plan(recipe: Annotated[Path, typer.Argument(help="a YAML recipe")]) -> None:
    """What a recipe will do: its steps, what is in the store already, what follows a choice, and what it will cost."""
    from transfuse.doors.planned import describe
    from transfuse.plan.recipe import read

    say(describe(read(recipe), recipe.parent))


@app.command()
def init(
    data: Annotated[str, typer.Argument(metavar="DATA", help="a folder, CSV, idx:DIR, npz:FILE or sklearn:digits")],
    sources: Sources,
    out: Annotated[Path, typer.Option("--out", help="where the recipe goes")] = Path("recipe.yaml"),
) -> None:
    """Write a recipe for this data and these sources, after looking at both."""
    from transfuse.doors.planned import written_recipe

    if out.exists():
        raise UserError("there is a file of that name already", where=str(out), hint="choose another --out")
    text, summary = written_recipe(data, sources, Path.cwd(), out)
    out.write_text(text, encoding="utf-8")
    say(f"{summary}\nwritten: {out}\nnext: transfuse plan {out}; transfuse run {out}")


@app.command()
def evaluate(
    predictions: Annotated[list[str], typer.Argument(metavar="PREDICTIONS...", help="files (CSV, npz), or NAME=FILE")],
    labels: Annotated[
        Path | None, typer.Option(help="CSV item,label[,group][,split]; without it: per-item scores")
    ] = None,
    candidate: Annotated[str | None, typer.Option(help="the one that is claimed to be better")] = None,
    versus: Annotated[list[str] | None, typer.Option(help="whom it must answer to; default all others")] = None,
    margin: Annotated[
        str, typer.Option(help="gain that matters, in the metric's unit; auto is 5 % of the loss")
    ] = "auto",
    scale: Annotated[str | None, typer.Option(help="what the columns of a CSV are: logit or probability")] = None,
    out: Annotated[Path, typer.Option("--out", help="folder for evidence and report")] = Path("runs/evaluate"),
) -> None:
    """The whole evaluation of predictions made elsewhere, without any model."""
    from transfuse.doors.study import judged

    given: Any = {
        Path(text.split("=", 1)[-1]).stem if "=" not in text else text.split("=", 1)[0]: text.split("=", 1)[-1]
        for text in predictions
    }
    if len(given) != len(predictions):
        raise UserError("two prediction files would have the same name", hint="name them: a=FILE b=FILE")
    if labels is None:
        if len(predictions) != 1:
            raise UserError("without --labels there is one file of per-item scores", expected="item,candidate,score")
        given = predictions[0]
    study = judged(
        given, None if labels is None else str(labels), candidate=candidate, versus=versus, margin=margin, scale=scale
    )
    path = study.write(out)
    say(f"{study}\nreport: {path}")


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="one method, e.g. features/gate")] = None,
    json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Every fusing method: what it does, its parameters and its source."""
    from transfuse.doors.catalogue import as_json, as_text

    say(as_json(name) if json else as_text(name))


@app.command()
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


@app.command()
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


@app.command()
def inspect(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="weight files")],
    json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """What a weight file is, read from its header, and whether it is safe to load; nothing in it is run."""
    from transfuse.doors.catalogue import inspected

    say(inspected(models, as_json=json))


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a run's folder")],
    other: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="another run, to put the two side by side")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="file for the two side by side; .html or .md")] = None,
) -> None:
    """Make a run's report anew from its evidence, and print the verdict; of two runs, put them side by side."""
    from transfuse.doors.study import Study, side_by_side

    if other is None:
        if out is not None:
            raise UserError("--out belongs to two runs side by side", hint="transfuse report DIR DIR --out FILE")
        study = Study.of_folder(folder)
        study.report(folder / "report.md")
        say(f"{study}\nreport: {study.report(folder / 'report.html')}")
        return
    path = side_by_side(folder, other, out or Path(f"{folder.name}-beside-{other.name}.html"))
    for each in (folder, other):
        say(f"{each.name}\n\n{Study.of_folder(each)}")
    say(f"side by side: {path}")


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a run's folder")],
    what: Annotated[str, typer.Option("--what", help="model_card, checklist or rows")] = "model_card",
    out: Annotated[Path | None, typer.Option("--out", help="file to write; default WHAT in the run's folder")] = None,
) -> None:
    """A run's result in another form: a model card for hubs, a reproducibility checklist, all evidence as CSV."""
    from transfuse.doors.study import Study

    say(f"written: {Study.of_folder(folder).export(what, out)}")


def main() -> None:
    """Run the command line and end with its exit code."""
    try:
        app()
    except UserError as error:
        sys.stderr.write(f"error: {error.message()}\n")
        sys.exit(2)
    except TransfuseError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
    except OSError as error:
        # A full disk, a folder that is a file, a missing right: the user's to mend, and what is done is kept.
        if error.filename is None and error.errno is None:
            raise
        said = UserError(
            f"the system refused: {error.strerror}", where=str(error.filename or ""), hint="mend it and run again"
        )
        sys.stderr.write(f"error: {said.message()}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; run again to continue where it was\n")
        sys.exit(130)
