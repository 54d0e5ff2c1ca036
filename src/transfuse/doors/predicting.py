"""A shipped model's answers for images that nobody has labelled; without them the winner would be a file to admire.

The result is the CSV that `transfuse evaluate` reads: `item` and one probability a class or label, after the model's
own temperature; of a regression the numbers themselves.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.data.familiar import Familiar
from transfuse.doors.asking_again import LISTED, Earlier, files_of
from transfuse.doors.study import Study, nothing_here
from transfuse.doors.unanswered import Asked, Reads, Report, asked, opened_data
from transfuse.errors import UserError
from transfuse.fields import COLUMNS, check_field, parts
from transfuse.folder import DESCRIPTION, Folder
from transfuse.kinds import kind_of
from transfuse.store import write_text

if TYPE_CHECKING:
    from transfuse.source.base import Source
    from transfuse.types import TaskKind

DIGITS = ".9g"


@dataclass(frozen=True)
class Answers:
    """Probabilities [N, C] by item, or a regression's numbers [N, T]; `model` is the arm that gave them.

    `unlike` tells of each item why it is unlike the rows that the model learnt from, if it is; None: it cannot be told.
    `unread` tells of items that have no answer why they cannot be read.
    """

    model: str
    items: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: np.ndarray
    kind: TaskKind = "multiclass"
    unlike: tuple[str, ...] | None = None
    unread: Mapping[str, str] = field(default_factory=dict)

    def table(self) -> str:
        """CSV with a header; nine digits, so that the rows still sum to one."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["item", *self.classes])
        for item, row in zip(self.items, self.probabilities, strict=True):
            writer.writerow([item, *(format(float(value), DIGITS) for value in row)])
        return out.getvalue()

    def summary(self) -> str:
        """How many items went to which class, most first, and how sure the model was; of labels how many items have
        each, of numbers mean and range."""
        if self.kind != "multiclass":
            return "\n".join([f"{self.model}: {len(self.items):,} items", *self._columns()])
        chosen = Counter(self.classes[place] for place in self.probabilities.argmax(axis=1).tolist())
        width = max(len(name) for name in chosen)
        counts = [f"  {name:<{width}}  {count:,}" for name, count in chosen.most_common()]
        sure = float(self.probabilities.max(axis=1).mean())
        return "\n".join([f"{self.model}: {len(self.items):,} items, {100 * sure:.0f} % sure on average", *counts])

    def _columns(self) -> list[str]:
        width = max(len(name) for name in self.classes)
        if self.kind == "multilabel":
            counts = (self.probabilities >= 0.5).sum(axis=0).tolist()
            return [f"  {name:<{width}}  {count:,}" for name, count in zip(self.classes, counts, strict=True)]
        found = [(column.mean(), column.min(), column.max()) for column in self.probabilities.T]
        return [
            f"  {name:<{width}}  {mean:.4g} on average, {low:.4g} to {high:.4g}"
            for name, (mean, low, high) in zip(self.classes, found, strict=True)
        ]


def predict(model: Path, data: str, root: Path, report: Report | None = None, before: Earlier | None = None) -> Answers:
    """The answers of a saved model, or of the model that a run recommends, for all items of a data set.

    `data` is anything a recipe reads, labelled or not; a folder with images right inside it is read as `images:DIR`,
    any folder as `texts:DIR` where the model reads texts. Items that cannot be read are told with the answers. `before`
    are answers that are there already, all of which must be asked for.
    Raises: `UserError` where there is no model, no item that can be read, or the model was given in Python.
    """
    if model.suffix == ".onnx":
        return _of_graph(model, data, root, report, before)
    folder = model_folder(model)
    source, description = opened(folder)
    columns = columns_read(source) if COLUMNS in parts(source.card.field) else ()
    found = opened_data(data, root, Reads(source.kind, source.card.field, columns, description.get("table")))
    canvas = canvas_of(description, folder)
    check_field(source.card.name, source.card.field, str(folder), found.field)
    classes = classes_of(source, description)
    if before is not None:
        before.require_asked(found.items.ids)
    given = asked(found, canvas, _asking(source), report)
    if given.answers.shape[1] != len(classes):
        raise UserError(
            "the model answers for another number of classes than it names",
            where=str(folder),
            expected=str(len(classes)),
            got=str(given.answers.shape[1]),
        )
    arm = str(description.get("arm", source.card.name))
    return _answers(arm, classes, source.kind, given, description.get("familiar"))


def _of_graph(path: Path, data: str, root: Path, report: Report | None, before: Earlier | None) -> Answers:
    """The answers of an exported ONNX file, by onnxruntime on one thread."""
    from transfuse.files.graphs import opened_graph

    run, facts = opened_graph(path)
    kind = kind_of(facts.kind, where=str(path)).name
    found = opened_data(data, root, Reads(table=facts.table))
    if before is not None:
        before.require_asked(found.items.ids)
    given = asked(found, facts.canvas, run, report)
    return _answers(facts.arm, facts.classes, kind, given, facts.familiar)


def _answers(arm: str, classes: tuple[str, ...], kind: TaskKind, given: Asked, familiar: Any) -> Answers:
    """With what is told of items unlike those that the model learnt from, where it knows."""
    known, unlike = Familiar.from_record(familiar), None
    if known is not None and given.looks is not None:
        unlike = tuple(known.unlike(given.looks, given.answers if kind == "multiclass" else None))
    return Answers(arm, given.items, classes, given.answers, kind, unlike, given.unread)


def canvas_of(description: Mapping[str, Any], folder: Path) -> int:
    """The side of the canvas that a saved model answers on, in pixels."""
    canvas = description.get("canvas")
    if type(canvas) is not int:
        raise UserError("the model does not say on which canvas it answers", where=str(folder))
    return canvas


def classes_of(source: Source, description: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes of a saved model, in the order of its answers."""
    return tuple(str(name) for name in description.get("classes") or source.card.classes)


def _asking(source: Source) -> Callable[[np.ndarray], np.ndarray]:
    """softmax(logits / temperature) of canvases [n, C], or the numbers of a regression, float64; the same whatever the
    batch."""
    import torch

    def ask(canvases: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            images = torch.from_numpy(canvases)
            answers = source(images) if source.kind == "regression" else source.probabilities(images)
        return answers.double().numpy()  # pyright: ignore[reportAttributeAccessIssue]

    return ask


def columns_read(model: Source) -> tuple[str, ...]:
    """The columns that the sources inside a model read, by name."""
    from transfuse.source.base import Source

    inner = [part.card.prepare.columns for part in model.modules() if isinstance(part, Source)]
    return tuple(dict.fromkeys(name for columns in inner for name, *_ in columns))


def model_folder(path: Path) -> Path:
    """A saved model's folder: itself, or that of the model which the run in this folder recommends."""
    if (path / DESCRIPTION).is_file():
        return path
    if Folder(path).evidence.is_file():
        found = Study.of_folder(path).model_folder
        if (found / DESCRIPTION).is_file():
            return found
        raise UserError("this run kept no model", where=str(path), hint="run the recipe again")
    raise nothing_here(path)


def opened(folder: Path) -> tuple[Source, dict[str, Any]]:
    """The model and its description."""
    from transfuse.fusion import saved

    return saved.load(folder), saved.read(folder)


def written(answers: Answers, out: Path, before: Earlier | None = None) -> str:
    """Write the CSV, and beside it which items are unlike those the model learnt from, and which have no answer; what
    to say of all. Answers that were there `before` are replaced; UserError where some of them would be lost."""
    if before is not None:
        before.require_held(answers.items, answers.classes, answers.probabilities)
    write_text(out, answers.table())
    for path in files_of(out).values() if before is not None else ():
        path.unlink(missing_ok=True)
    said = [answers.summary(), f"written: {out}"]
    if answers.unread:
        write_text(files_of(out)["unread"], _csv([LISTED, *answers.unread.items()]))
        said.append(
            f"without an answer: {len(answers.unread):,} that cannot be read, listed in {files_of(out)['unread']}"
        )
    if answers.unlike is None:
        said.append("this model does not tell which items are unlike those it learnt from")
    elif strange := [(item, why) for item, why in zip(answers.items, answers.unlike, strict=True) if why]:
        beside = files_of(out)["unlike"]
        write_text(beside, _csv([LISTED, *strange]))
        counts = [sum(word in why.split(",") for _, why in strange) for word in ("looks", "unsure")]
        said.append(
            f"unlike the images it learnt from: {len(strange):,} of {len(answers.items):,} "
            f"({counts[0]:,} in their looks, {counts[1]:,} by an unusually unsure answer), listed in {beside}"
        )
    return "\n".join(said)


def _csv(lines: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()
