"""Commands about what came out: verdicts on predictions, reports, exports, answers of the shipped model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from transfuse.doors.commands._common import new_file, place, say, writable
from transfuse.errors import UserError, many_problems

# Where the verdict on predictions made elsewhere goes.
USUAL = Path("runs/evaluate")


def evaluate(
    predictions: Annotated[
        list[str],
        typer.Argument(
            metavar="PREDICTIONS",
            help="files (CSV, npz), or NAME=FILE; FILE?classes=MAP.csv maps its classes; NAME=outputs/METHOD fuses all",
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV item,label[,group][,split], or one column a label or target; without it: item scores"),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="kind of task, perhaps with its metrics: regression,absolute_error,pkg.module:function; "
            "default multiclass"
        ),
    ] = None,
    candidate: Annotated[str | None, typer.Option(help="the one that is claimed to be better")] = None,
    versus: Annotated[list[str] | None, typer.Option(help="whom it must answer to; default all others")] = None,
    margin: Annotated[
        str, typer.Option(help="gain that matters, in the metric's unit; auto is 5 % of the loss")
    ] = "auto",
    scale: Annotated[
        str | None, typer.Option(help="what columns are that do not show it: logit or probability")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            parser=place,
            metavar="DIR",
            help="folder for evidence and report; default runs/evaluate, or runs/evaluate-2 … beside other verdicts",
        ),
    ] = None,
) -> None:
    """Judge predictions that were made elsewhere. The whole evaluation, without any model."""
    from transfuse.doors.study import judged

    given, mapped = named_files(predictions)
    if len(given) != len(predictions):
        raise UserError("two prediction files would have the same name", hint="name them: a=FILE b=FILE")
    if labels is None:
        if len(predictions) != 1:
            raise UserError("without --labels there is one file of per-item scores", expected="item,candidate,score")
        given = predictions[0]
    study = judged(
        given,
        None if labels is None else str(labels),
        candidate=candidate,
        versus=versus,
        margin=margin,
        scale=scale,
        **({"classes": mapped} if mapped else {}),
        **_asked(task),
    )
    # The verdict first: a folder that is taken must not cost the work.
    say(str(study))
    say(f"report: {study.write(out or study.free(USUAL))}")


def _asked(task: str | None) -> dict[str, Any]:
    """`KIND[,METRIC,METRIC...]` as the words of a task."""
    if task is None:
        return {}
    kind, *metrics = [word.strip() for word in task.split(",")]
    return {"kind": kind, **({"metric": metrics[0], "also": metrics[1:]} if metrics else {})}


def named_files(words: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Predictions by name, and mapping files by the same: `FILE`, `NAME=FILE`, either with `?classes=MAP.csv`."""
    given: dict[str, Any] = {}
    mapped: dict[str, Any] = {}
    for word in words:
        text, asked, path = word.partition("?classes=")
        name, named, file = text.partition("=")
        name, file = (name, file) if named else (Path(text).stem, text)
        given[name] = file
        if asked:
            mapped[name] = Path(path)
    return given, mapped


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a run's folder")],
    other: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="another run, to put the two side by side")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="file for the two side by side; .html or .md")] = None,
) -> None:
    """Print a run's verdict and make its report anew. Of two runs, put them side by side."""
    from transfuse.doors.study import Study, side_by_side
    from transfuse.folder import Folder

    if other is None:
        if out is not None:
            raise UserError("--out belongs to two runs side by side", hint="transfuse report DIR DIR --out FILE")
        study = Study.of_folder(folder)
        study.report(Folder(folder).markdown)
        say(f"{study}\nreport: {study.report(Folder(folder).report)}")
        return
    path = side_by_side(folder, other, out or Path(f"{folder.name}-beside-{other.name}.html"))
    for each in (folder, other):
        say(f"{each.name}\n\n{Study.of_folder(each)}")
    say(f"side by side: {path}")


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a run's folder, or for models RUN/models/ARM")],
    what: Annotated[
        str, typer.Option("--what", help="of the run: model_card, checklist, rows; of its model: onnx, torch_export")
    ] = "model_card",
    out: Annotated[Path | None, typer.Option("--out", help="file to write; default WHAT in the folder")] = None,
) -> None:
    """Write a run in another form. A model card, a checklist, all evidence as CSV, or its model as one graph."""
    from transfuse.doors.exporting import exported_model, forms
    from transfuse.doors.study import Study
    from transfuse.errors import unknown_name
    from transfuse.registry import shelf

    texts = shelf("report/exports")
    if what not in (*texts, *forms()):
        raise unknown_name("form", what, [*texts, *forms()], where="--what")
    if what in forms():
        say(f"written: {exported_model(folder, what, out)}")
        return
    say(f"written: {Study.of_folder(folder).export(what, out)}")


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="a run's folder, or RUN/models/ARM")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="a folder of images, or anything that a recipe reads")],
    out: Annotated[Path, typer.Option("--out", help="CSV to write: item, and one probability a class")] = Path(
        "predictions.csv"
    ),
) -> None:
    """Let the recommended model of a run answer. `evaluate` reads what it writes."""
    from transfuse.doors.asking_again import earlier, files_of
    from transfuse.doors.predicting import predict as answers_of
    from transfuse.doors.predicting import written

    before = earlier(out)
    for path in (out, *files_of(out).values()):
        (new_file if before is None else writable)(path)
    answers = answers_of(model, data, Path.cwd(), before=before)
    say(written(answers, out, before))
    if answers.unread:
        problems = [f"{item}: {why}" for item, why in answers.unread.items()]
        title, hint = "some items cannot be read and have no answer; all others have", "repair them and ask again"
        raise many_problems(title, problems, where=str(files_of(out)["unread"]), hint=hint)


def runs(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="a folder with runs in it")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="all that is known, as JSON")] = False,
) -> None:
    """List the runs in a folder. What each ships, whether fusing paid, and which were judged on the same items."""
    from transfuse.doors.finding import runs as found_in
    from transfuse.jsonio import pretty
    from transfuse.report.overview import rows, table

    found = found_in(folder)
    say(pretty(rows(found)) if as_json else table(found))


COMMANDS = (evaluate, report, runs, export, predict)
