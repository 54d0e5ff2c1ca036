"""A Study: the finished comparison as an object to ask, whether it was just run or is read from its folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfuse import __version__
from transfuse.errors import UserError
from transfuse.files.texts import json_object
from transfuse.folder import DESCRIPTION, TENSORS, Folder
from transfuse.jsonio import pretty
from transfuse.store import exclusive, require_free, write_text

if TYPE_CHECKING:
    from torch import nn

    from transfuse.source.base import Source

# What reading a record that no run wrote can run into, once it is JSON.
NOT_A_RECORD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True)
class Study:
    """What a comparison found. `record` is `evidence.json`; `folder` is where it lies, if it was kept;
    `pictures` are small images of judged items by id."""

    record: Mapping[str, Any]
    measurements: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    pictures: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_folder(cls, folder: Path) -> Study:
        """The study of a run folder. Raises UserError where there is none or its JSON is damaged."""
        evidence = Folder(folder).evidence
        if not evidence.is_file():
            expected = f"a folder that a run wrote, with {evidence.name}"
            raise UserError(
                "there is no run here", where=str(folder), expected=expected, hint="transfuse runs lists them"
            )
        record = json_object(evidence, "this file is damaged", hint="run the recipe again")
        measurements, thumbnails = (
            json_object(path, "this file is damaged", hint="run again") if path.is_file() else {}
            for path in (Folder(folder).measurements, Folder(folder).thumbnails)
        )
        pictures = thumbnails.get("items")
        study = cls(record, measurements, folder, pictures if isinstance(pictures, dict) else {})
        with study._read():
            from transfuse.report.view import View

            View(study.record, study.measurements)
        return study

    @contextmanager
    def _read(self) -> Iterator[None]:
        """What a folder's record cannot be read as is the folder's fault, as one message; our own records raise."""
        try:
            yield
        except NOT_A_RECORD as error:
            if self.folder is None:
                raise
            raise UserError(
                "this record does not hold what a run writes",
                where=str(Folder(self.folder).evidence),
                got=f"{type(error).__name__}: {error}"[:200],
                hint="run the recipe again",
            ) from error

    @property
    def verdict(self) -> Mapping[str, Any]:
        """`recommendation`, `claims` and `flags`."""
        return self.record["verdict"]

    @property
    def evidence(self) -> list[Mapping[str, Any]]:
        """Every row of evidence."""
        return list(self.record["evidence"])

    @property
    def winner(self) -> str:
        """The name of the recommended arm."""
        return str(self.verdict["recommendation"]["arm"])

    @property
    def model_folder(self) -> Path:
        """Where the recommended model lies. Raises UserError where the study has no folder."""
        if self.folder is None:
            raise UserError("this study has no folder, so no model was kept", hint="compare(..., out='runs/mine')")
        return Folder(self.folder).model(self.winner)

    def model(self, *, modules: Mapping[str, nn.Module] | None = None) -> Source:
        """The recommended model, ready to predict; `modules` are the sources that were given in Python, by name.

        Raises UserError where it was not kept, and where a module is missing.
        """
        from transfuse.fusion.saved import load

        return load(self.model_folder, modules=modules)

    def table(self) -> list[dict[str, Any]]:
        """One row per judged arm: role, cost and what was found of all its judged rows, ready for a data frame;
        undefined values are None. What is told of parts (of a branch, a class, a coverage) is in `evidence` alone."""
        from transfuse.evaluation.rows import Subject

        with self._read():
            rows = {
                arm["name"]: {"arm": arm["name"], "role": arm["role"], **(arm["cost"] or {})}
                for arm in self.record["arms"]
            }
            for row in self.record["evidence"]:
                if row["arm"] in rows and row["id"] == Subject(row["arm"]).id(row["quantity"]):
                    rows[row["arm"]][row["quantity"]] = row.get("value")
            return list(rows.values())

    def report(self, path: str | Path) -> Path:
        """Write the report as HTML, or as Markdown where the name ends in `.md`; gives the path back. Raises UserError
        for a name that ends otherwise."""
        from transfuse.report.html import render_html
        from transfuse.report.text import render_markdown

        target = as_report(Path(path))
        with self._read():
            text = render_markdown(self.record, self.measurements) if target.suffix == ".md" else None
            text = render_html(self.record, self.measurements, self.pictures) if text is None else text
        write_text(target, text)
        return target

    def export(self, what: str, path: str | Path | None = None) -> Path:
        """Write the study in another form (`model_card`, `checklist`, `rows`); by default into its folder.

        Raises UserError where another file has the name.
        """
        from transfuse.registry import find
        from transfuse.report.view import View

        entry = find("report/exports", what)
        if path is None and self.folder is None:
            raise UserError("this study has no folder, so an export needs a path", hint=f"export({what!r}, 'FILE')")
        target = Path(path) if path is not None else (self.folder or Path()) / f"{what}{entry.traits['suffix']}"
        with self._read():
            text = entry.load().render(View(self.record, self.measurements))
        _write_new(target, text)
        return target

    def write(self, folder: Path) -> Path:
        """Write `evidence.json` and both reports into a folder; gives the HTML report's path. A folder that holds this
        very study already is refreshed. Raises UserError for one of a run or of another verdict, and where somebody's
        report has the name: what is there would be gone."""
        place = Folder(folder)
        self._require_own(place)
        with exclusive(folder, "this folder"):
            # Again, now that no other process writes here.
            self._require_own(place)
            write_text(place.evidence, pretty(self.record))
            self.report(place.markdown)
            return self.report(place.report)

    def free(self, folder: Path) -> Path:
        """This folder, or where something else lies there the first of `FOLDER-2`, `FOLDER-3` … for this study."""
        places = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
        return next(place for place in chain([folder], places) if self._taken(Folder(place)) is None)

    def _require_own(self, place: Folder) -> None:
        if (taken := self._taken(place)) is not None:
            hint = "--out another folder, or move away what is there"
            raise UserError(taken, where=str(place.path), hint=hint)

    def _taken(self, place: Folder) -> str | None:
        """What lies in a folder that this study would replace; None: nothing, or an earlier writing of this study."""
        if place.path.exists() and not place.path.is_dir():
            return "there is a file of that name"
        if place.lock.exists() or place.journal.exists():
            return "this folder holds a run, whose evidence would be replaced"
        if place.evidence.exists():
            return None if self._same(place) else "this folder holds another verdict, which would be replaced"
        reports = any(path.exists() for path in (place.report, place.markdown))
        return "this folder holds a report that is not of this verdict" if reports else None

    def _same(self, place: Folder) -> bool:
        """Whether a folder's record says what this one does; by another version of this program counts too."""
        try:
            held = json_object(place.evidence, "unreadable")
        except UserError:
            return False
        setups = [record.get("setup") for record in (self.record, held)]
        mine, theirs = ({**setup, "version": None} if isinstance(setup, Mapping) else setup for setup in setups)
        return mine == theirs and {**held, "setup": None} == {**self.record, "setup": None}

    def __repr__(self) -> str:
        from transfuse.figures import plural

        try:
            said = f"ship {self.winner}, {plural(len(self.verdict['claims']), 'claim')}"
        except NOT_A_RECORD:
            said = "of a record that no run wrote"
        return f"<Study: {said}{'' if self.folder is None else f', in {str(self.folder)!r}'}>"

    def __str__(self) -> str:
        from transfuse.report.terminal import render_terminal

        with self._read():
            return render_terminal(self.record)


def side_by_side(first: Path, second: Path, target: Path) -> Path:
    """Two runs' folders on one page, HTML or (where the name ends in `.md`) Markdown; gives the path back.

    Folders of one name are told apart by their parents' names. Raises UserError where either holds no run, and where
    another file has the name.
    """
    from transfuse.report import html, text
    from transfuse.report.side_by_side import Pair
    from transfuse.report.view import View

    target = as_report(target)
    folders = [path.resolve() for path in (first, second)]
    if folders[0] == folders[1]:
        raise UserError("these are one run, so there is nothing to put beside it", got=str(first))
    names = [folder.name for folder in folders]
    if names[0] == names[1]:
        names = [f"{folder.parent.name}/{folder.name}" for folder in folders]
    studies = [Study.of_folder(folder) for folder in folders]
    views = [View(study.record, study.measurements) for study in studies]
    render = text.markdown if target.suffix == ".md" else html.page
    with studies[1]._read():
        page = render(Pair(views[0], views[1], (names[0], names[1])).document())
    _write_new(target, page)
    return target


def as_report(path: Path) -> Path:
    """The path, if its name says what a report is. Raises UserError for a name that promises another kind of file."""
    if path.suffix.lower() not in (".html", ".htm", ".md"):
        got, hint = path.suffix or "no ending", str(path.with_suffix(".html"))
        raise UserError("a report is HTML or Markdown", where=str(path), expected=".html or .md", got=got, hint=hint)
    return path


def _write_new(path: Path, text: str) -> None:
    """Write a text where no other file has the name: a card that a person went on with would be lost."""
    require_free(path, hashlib.sha256(text.encode()).hexdigest())
    write_text(path, text)


def nothing_here(path: Path) -> UserError:
    """The error where neither a run nor a model lies, with what to give instead of what does."""
    arms = Folder(path.parent).models if path.name == "models" else ()
    hint = None
    if path.name in (DESCRIPTION, TENSORS):
        hint = f"its folder: {path.parent}"
    elif arms:
        hint = " or ".join(str(arm) for arm in arms[:3])
    elif path.suffix == ".pt2":
        hint = "the folder that it was exported from; torch.export.load(FILE).module()(canvas) asks this program"
    elif path.suffix == ".onnx":
        hint = "the folder that it was exported from; transfuse predict asks a graph, and onnx:FILE is a source"
    expected = f"a run's folder, or RUN/models/ARM with {DESCRIPTION} and {TENSORS}"
    return UserError("there is neither a run nor a model here", where=str(path), expected=expected, hint=hint)


def judged(predictions: Any, labels: Any, **settings: Any) -> Study:
    """A study of predictions from elsewhere, and of what is fused of them."""
    from transfuse.doors.pooling import described, fusions, with_fusions
    from transfuse.evaluation.elsewhere.door import evaluate, set_up
    from transfuse.evaluation.verdict import record

    made = with_fusions(predictions, labels, settings) if fusions(predictions) else predictions
    judgement = evaluate(made, labels, pools=described(predictions), **settings)
    setup = set_up(judgement, version=__version__)
    return Study(json.loads(pretty(record(judgement, judgement.arms, {}, setup))))
