"""Carrying out `choose`: a plan without judged rows, and a folder with its evidence and report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from transfuse.data.draw import draw
from transfuse.errors import UserError
from transfuse.events import Journal
from transfuse.folder import Folder
from transfuse.jsonio import pretty
from transfuse.plan.choosing import make_choosing
from transfuse.plan.graph import Plan, Step
from transfuse.plan.setting import RowBlock
from transfuse.run import deliver
from transfuse.run.engine import Engine, Walk
from transfuse.run.forecast import START_SECONDS
from transfuse.run.prepare import Prepared, kept_rows, prepare
from transfuse.run.run import LARGEST_LOSS, Outcome, Request, Tally, place_of, store_of, workers_of
from transfuse.store import LostArtifactError, Store, exclusive, write_bytes, write_text

MOST_ROWS = 5000
# A guess for the progress bar alone: a small network on 96 pixels.
GUESSED_SECONDS = 0.003


@dataclass(frozen=True)
class Asked:
    """How `choose` was asked: all scores or the usual ones, how many rows at most, and the words to ask again."""

    every_score: bool = False
    rows: int = MOST_ROWS
    command: str = ""


def choose(request: Request, asked: Asked) -> Outcome:
    """Look at the sources of a recipe; the judged rows of its protocol stay closed.

    Raises: `UserError` for one class, for tasks without classes, and for what `prepare` refuses.
    """
    folder = Folder(request.out)
    with exclusive(folder.path, "the folder"):
        for _ in range(LARGEST_LOSS):
            try:
                return _choose(request, asked, folder)
            except LostArtifactError as error:
                Journal(folder.journal).emit("artifact_lost", why=str(error))
        return _choose(request, asked, folder)


def _choose(request: Request, asked: Asked, folder: Folder) -> Outcome:
    began = time.process_time()
    recipe = request.recipe
    if recipe.task.kind != "multiclass":
        hint = "transfuse compare judges such sources by training heads on them"
        raise UserError(
            "choose asks of classes that exclude each other", got=f"task kind {recipe.task.kind}", hint=hint
        )
    store, tally = store_of(recipe, request.root), Tally()
    journal = Journal(folder.journal, listeners=[*request.listeners, tally])
    journal.emit("run_started", out=folder.path.name)
    prepared = prepare(recipe, root=request.root, store=store, modules=request.modules, emit=journal.emit)
    blocks, note = rows_apart(prepared, store, asked.rows)
    plan = make_choosing(prepared.setting, prepared.ladder, blocks, every_score=asked.every_score)
    walk = Walk(plan, store)
    if walk.ready(plan.targets) is not None:
        journal.emit("forecast", steps={name: _guess(step) for name, step in plan.steps.items()})
        place, workers = place_of(prepared, store, journal), workers_of(request)
        Engine(walk, place, journal, workers, request.modules, kind=request.engine).run(plan.targets)
    made = _evidence(store.need(walk.done["appraise"]).meta, prepared, plan, asked, note)
    deliver.keep_history(folder, made)
    write_bytes(folder.evidence, pretty(made).encode())
    _write_reports(folder, made)
    seconds = time.process_time() - began + tally.elsewhere
    reused = len(walk.done) - len(tally.steps & set(walk.done))
    journal.emit("run_done", executed=len(tally.steps), reused=reused, cpu_seconds=round(seconds, 2))
    return Outcome(folder, made, len(tally.steps), reused, seconds)


def _write_reports(folder: Folder, made: dict[str, Any]) -> None:
    """`report.html` and `report.md`; a choice shows no pictures of items."""
    from transfuse.report.html import render_html
    from transfuse.report.text import render_markdown

    write_text(folder.report, render_html(made))
    write_text(folder.markdown, render_markdown(made))


def rows_apart(prepared: Prepared, store: Store, most: int) -> tuple[tuple[RowBlock, ...], str]:
    """Blocks of rows that no verdict of this protocol rests on, as a run has them; more than `most` rows, a draw of
    them. Under cross-fitting every row judges in its turn, so all are looked at. And a sentence on which they are.
    """
    blocks = prepared.setting.runs[0].blocks
    count = sum(block.count for block in blocks)
    locked = prepared.partition.protocol == "locked"
    closed = (
        "the rows of the test split stay closed"
        if locked
        else "these rows also judge in a later run, so give that run all sources: it chooses again inside its folds"
    )
    if count <= most:
        return blocks, f"{count:,} rows were looked at; {closed}"
    rows = np.concatenate([store.need(block.key)["rows"] for block in blocks])
    few = draw(prepared.items, np.unique(rows), most, "choose", "rows")
    return (kept_rows(store, "choose", few),), f"{len(few):,} of {count:,} rows were looked at; {closed}"


def _guess(step: Step) -> float:
    side = step.params.get("canvas", 96)
    return START_SECONDS.get(step.kind, 1.0) + step.work.forward * GUESSED_SECONDS * (side / 96) ** 2


def _evidence(meta: Any, prepared: Prepared, plan: Plan, asked: Asked, note: str) -> dict[str, Any]:
    made = dict(meta["evidence"])
    setup = deliver.set_up(prepared, {"judged": 0, "margin": meta["margin"], "choices": []})
    data = {key: value for key, value in setup["data"].items() if key not in ("train", "selection", "judged")}
    data["notes"] = [note, *data["notes"]]
    data["apart"] = meta["rows"]
    setup |= {"data": data, "runs": [], "command": asked.command or setup["command"]}
    made["setup"] = setup | {"title": prepared.recipe.title or "Which sources"}
    made["ledger"] = {"plan": plan.key}
    return made
