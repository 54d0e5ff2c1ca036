"""A Study: the finished comparison as an object to ask, whether it was just run or is read from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfuse import __version__
from transfuse.errors import UserError
from transfuse.jsonio import pretty
from transfuse.store import write_text

if TYPE_CHECKING:
    from transfuse.source.base import Source


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
        record = _json(folder / "evidence.json")
        measured, small = folder / "measurements.json", folder / "thumbnails.json"
        pictures = _json(small).get("items") if small.is_file() else None
        known = pictures if isinstance(pictures, dict) else {}
        return cls(record, _json(measured) if measured.is_file() else {}, folder, known)

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
        return self.folder / "models" / self.winner.replace("/", ".").replace(":", ".")

    def model(self) -> Source:
        """The recommended model, ready to predict. Raises UserError where it was not kept."""
        from transfuse.fusion.saved import load

        return load(self.model_folder)

    def table(self) -> list[dict[str, Any]]:
        """One row per judged arm: role, cost and every metric, ready for a data frame; undefined values are None."""
        rows = {
            arm["name"]: {"arm": arm["name"], "role": arm["role"], **(arm["cost"] or {})} for arm in self.record["arms"]
        }
        for row in self.record["evidence"]:
            if row["versus"] is None and row["arm"] in rows and row["condition"] == "clean":
                rows[row["arm"]][row["quantity"]] = row.get("value")
        return list(rows.values())

    def report(self, path: str | Path) -> Path:
        """Write the report as HTML, or as Markdown where the name ends in `.md`; gives the path back."""
        from transfuse.report.html import render_html
        from transfuse.report.text import render_markdown

        target = Path(path)
        if target.suffix == ".md":
            write_text(target, render_markdown(self.record, self.measurements))
        else:
            write_text(target, render_html(self.record, self.measurements, self.pictures))
        return target

    def export(self, what: str, path: str | Path | None = None) -> Path:
        """Write the study in another form (`model_card`, `checklist`, `rows`); by default into its folder."""
        from transfuse.registry import find
        from transfuse.report.view import View

        entry = find("report/exports", what)
        if path is None and self.folder is None:
            raise UserError("this study has no folder, so an export needs a path", hint=f"export({what!r}, 'FILE')")
        target = Path(path) if path is not None else (self.folder or Path()) / f"{what}{entry.traits['suffix']}"
        write_text(target, entry.load().render(View(self.record, self.measurements)))
        return target

    def write(self, folder: Path) -> Path:
        """Write `evidence.json` and both reports into a folder; gives the HTML report's path."""
        write_text(folder / "evidence.json", pretty(self.record))
        self.report(folder / "report.md")
        return self.report(folder / "report.html")

    def __str__(self) -> str:
        from transfuse.report.terminal import render_terminal

        return render_terminal(self.record)


def side_by_side(first: Path, second: Path, target: Path) -> Path:
    """Two runs' folders on one page, HTML or (where the name ends in `.md`) Markdown; gives the path back.

    Folders of one name are told apart by their parents' names. Raises UserError where either holds no run.
    """
    from transfuse.report import html, text
    from transfuse.report.side_by_side import Pair
    from transfuse.report.view import View

    folders = [path.resolve() for path in (first, second)]
    if folders[0] == folders[1]:
        raise UserError("these are one run, so there is nothing to put beside it", got=str(first))
    names = [folder.name for folder in folders]
    if names[0] == names[1]:
        names = [f"{folder.parent.name}/{folder.name}" for folder in folders]
    views = [View(study.record, study.measurements) for study in map(Study.of_folder, folders)]
    render = text.markdown if target.suffix == ".md" else html.page
    write_text(target, render(Pair(views[0], views[1], (names[0], names[1])).document()))
    return target


def judged(predictions: Any, labels: Any, **settings: Any) -> Study:
    """A study of predictions from elsewhere, and of what is fused of them."""
    from transfuse.doors.pooling import described, fusions, with_fusions
    from transfuse.evaluation.door import evaluate, set_up
    from transfuse.evaluation.verdict import record

    made = with_fusions(predictions, labels, settings) if fusions(predictions) else predictions
    judgement = evaluate(made, labels, **settings)
    setup = set_up(judgement, version=__version__)
    return Study(described(json.loads(pretty(record(judgement, judgement.arms, {}, setup))), predictions))


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError("there is no run here", where=str(path.parent), expected=path.name) from error
    except ValueError as error:
        raise UserError("this file is damaged", where=str(path), got=str(error), hint="run the recipe again") from error
    if not isinstance(found, dict):
        raise UserError("this file is not what a run writes", where=str(path), got=type(found).__name__)
    return found
