"""A shipped model's answers for images that nobody has labelled; without them the winner would be a file to admire.

The result is the CSV that `transfuse evaluate` reads: `item` and one probability a class or label, after the model's
own temperature; of a regression the numbers themselves.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.data.familiar import Familiar, looks
from transfuse.doors.study import Study
from transfuse.errors import UserError
from transfuse.fields import COLUMNS, IMAGE, TEXT, check_field, parts
from transfuse.folder import DESCRIPTION, Folder
from transfuse.kinds import kind_of
from transfuse.store import write_text

if TYPE_CHECKING:
    from transfuse.data.open import Data
    from transfuse.source.base import Source
    from transfuse.types import TaskKind

BATCH = 32
DIGITS = ".9g"

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Answers:
    """Probabilities [N, C] by item, or a regression's numbers [N, T]; `model` is the arm that gave them.

    `unlike` tells of each item why it is unlike the rows that the model learnt from, if it is; None: it cannot be told.
    """

    model: str
    items: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: np.ndarray
    kind: TaskKind = "multiclass"
    unlike: tuple[str, ...] | None = None

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


def predict(model: Path, data: str, root: Path, report: Report | None = None) -> Answers:
    """The answers of a saved model, or of the model that a run recommends, for all items of a data set.

    `data` is anything a recipe reads, labelled or not; a folder with images right inside it is read as `images:DIR`,
    any folder as `texts:DIR` where the model reads texts.
    Raises: `UserError` where there is no model, no image, or the model was given in Python.
    """
    if model.suffix == ".onnx":
        return _of_graph(model, opened_data(data, root), report)
    folder = model_folder(model)
    source, description = opened(folder)
    read = columns_read(source) if COLUMNS in parts(source.card.field) else ()
    found = opened_data(data, root, source.kind, source.card.field, read)
    canvas = canvas_of(description, folder)
    check_field(source.card.name, source.card.field, str(folder), found.field)
    classes = classes_of(source, description)
    known, seen = Familiar.from_record(description.get("familiar")), []
    rows = probabilities(source, found, canvas, report, seen)
    if rows.shape[1] != len(classes):
        raise UserError(
            "the model answers for another number of classes than it names",
            where=str(folder),
            expected=str(len(classes)),
            got=str(rows.shape[1]),
        )
    arm = str(description.get("arm", source.card.name))
    return Answers(arm, found.items.ids, classes, rows, source.kind, _unlike(known, seen, rows, source.kind))


def _unlike(known: Familiar | None, seen: list[np.ndarray], rows: np.ndarray, kind: TaskKind) -> tuple[str, ...] | None:
    if known is None or not seen:
        return None
    return tuple(known.unlike(np.concatenate(seen), rows if kind == "multiclass" else None))


def _of_graph(path: Path, data: Data, report: Report | None) -> Answers:
    """The answers of an exported ONNX file, by onnxruntime on one thread."""
    from transfuse.data.canvas import batch
    from transfuse.files.graphs import opened_graph

    run, facts = opened_graph(path)
    given, seen = [], []
    for rows in _slices(len(data.items)):
        images = batch(data, rows, facts.canvas)
        seen.append(looks(images))
        given.append(run(images).astype(np.float64))
        if report is not None:
            report(rows[-1] + 1, len(data.items))
    kind = kind_of(facts.kind, where=str(path)).name
    answers = np.concatenate(given)
    unlike = _unlike(Familiar.from_record(facts.familiar), seen, answers, kind)
    return Answers(facts.arm, data.items.ids, facts.classes, answers, kind, unlike)


def _slices(count: int) -> list[range]:
    return [range(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]


def canvas_of(description: Mapping[str, Any], folder: Path) -> int:
    """The side of the canvas that a saved model answers on, in pixels."""
    canvas = description.get("canvas")
    if type(canvas) is not int:
        raise UserError("the model does not say on which canvas it answers", where=str(folder))
    return canvas


def classes_of(source: Source, description: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes of a saved model, in the order of its answers."""
    return tuple(str(name) for name in description.get("classes") or source.card.classes)


def probabilities(
    source: Source, data: Data, canvas: int, report: Report | None = None, seen: list[np.ndarray] | None = None
) -> np.ndarray:
    """softmax(logits / temperature) of all items [N, C], or the numbers of a regression, float64; the same whatever the
    batch. What the images look like is added to `seen`, batch by batch."""
    import torch

    from transfuse.data.canvas import batch

    found = []
    with torch.no_grad():
        for rows in _slices(len(data.items)):
            canvases = batch(data, rows, canvas)
            if seen is not None and data.field == IMAGE:
                seen.append(looks(canvases))
            images = torch.from_numpy(canvases)
            answers = source(images) if source.kind == "regression" else source.probabilities(images)
            found.append(answers.double().numpy())  # pyright: ignore[reportAttributeAccessIssue]
            if report is not None:
                report(rows[-1] + 1, len(data.items))
    return np.concatenate(found)


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
    raise UserError(
        "there is neither a run nor a model here",
        where=str(path),
        expected="a run's folder, or RUN/models/ARM with model.json and model.safetensors",
    )


def opened(folder: Path) -> tuple[Source, dict[str, Any]]:
    """The model and its description."""
    from transfuse.fusion import saved

    return saved.load(folder), saved.read(folder)


def opened_data(
    spec: str, root: Path, kind: TaskKind = "multiclass", field: str = IMAGE, columns: Sequence[str] = ()
) -> Data:
    """A data set of a recipe's form; a folder with images right inside it needs no classes. Of a table the parts of
    the field are read, with these columns.

    Labels there may be of the model's kind of task; a reader that knows classes only is read as it is.
    """
    from transfuse.data.open import is_path, open_data, read_as, reads, with_parts
    from transfuse.data.photos import images_in

    folder = root / Path(spec).expanduser()
    if is_path(spec) and folder.is_dir() and field == TEXT:
        spec = f"texts:{spec}"
    elif is_path(spec) and folder.is_dir() and images_in(folder, deep=False):
        spec = f"images:{spec}"
    read: Any = with_parts(spec, parts(field), columns)
    return open_data(read_as(read, kind) if reads(read, kind) else read, root)


def written(answers: Answers, out: Path) -> str:
    """Write the CSV, and beside it which items are unlike those the model learnt from; what to say of both."""
    write_text(out, answers.table())
    said = [answers.summary(), f"written: {out}"]
    if answers.unlike is None:
        said.append("this model does not tell which items are unlike those it learnt from")
    elif strange := [(item, why) for item, why in zip(answers.items, answers.unlike, strict=True) if why]:
        beside = out.with_name(f"{out.stem}.unlike.csv")
        write_text(beside, _csv([("item", "why"), *strange]))
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
