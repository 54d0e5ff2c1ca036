"""The run folder: what a person opens, what a program reads, what a colleague loads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from transfuse import __version__
from transfuse.data.items import Items
from transfuse.errors import UserError
from transfuse.evaluation.words import named
from transfuse.fields import IMAGE, joint_field
from transfuse.figures import usual
from transfuse.files.texts import json_object
from transfuse.folder import Folder
from transfuse.jsonio import plain, pretty
from transfuse.kinds import kind_of
from transfuse.plan.recipe import written
from transfuse.run.predictions import PREDICTED
from transfuse.run.prepare import Prepared
from transfuse.store import Artifact, write_bytes, write_text

PLAN_KEY = re.compile("[0-9a-f]{64}")
UNTOLD = "this system cannot tell"
OPEN = "; `judge: {test: all}` opens them for every candidate"
UNITS = {"latency_p50_ms": "ms", "latency_p95_ms": "ms", "batch_ms": "ms", "peak_memory_mb": "MB"}


def evidence_of(
    artifact: Artifact, prepared: Prepared, ordinal: int, skipped: list[dict[str, str]], shipped: Mapping[str, Any]
) -> dict[str, Any]:
    """`evidence.json`: the evaluation's record with what only the run knows. `skipped` is what time did not allow."""
    meta = artifact.meta
    made = dict(meta["evidence"])
    recommended = _recommended(made, prepared, shipped)
    flags = [flag for flag in made["verdict"]["flags"] if not _settled(flag, made["evidence"], recommended)]
    made["verdict"] = made["verdict"] | {"recommendation": recommended, "flags": flags}
    made["ledger"] = {"fingerprint": prepared.fingerprint, "plan": prepared.plan.key, "ordinal": ordinal}
    made["setup"] = set_up(prepared, meta)
    planned = [{"what": what, "why": why} for what, why in prepared.plan.not_measured]
    metric = prepared.recipe.task.metric
    what = "loss" if metric == kind_of(prepared.items.kind).metric else named(metric)
    closed = [
        {
            "what": name,
            "why": f"not chosen; its selection {what} was {usual(loss, 4)}, its test rows stayed closed{OPEN}",
        }
        for name, loss in sorted(meta["closed"].items())
    ]
    made["not_measured"] = [*made["not_measured"], *skipped, *closed, *planned]
    if skipped:
        made["evidence"] = [row | {"reproducible": False} for row in made["evidence"]]
    return made


def _recommended(made: Mapping[str, Any], prepared: Prepared, shipped: Mapping[str, Any]) -> dict[str, Any]:
    """The recommendation, by the arm that is delivered: where every fold chose anew, that of the choice on all rows;
    `judged_as` then says whose judged rows speak for it."""
    found = dict(made["verdict"]["recommendation"])
    arm, judged = shipped.get("arm", found["arm"]), found["arm"]
    described = prepared.plan.steps["evaluate"].params["arms"]
    facts = next((facts for name, facts in described.items() if name.split("@", 1)[0] == arm), None)
    if arm == judged or facts is None:
        return found
    why = f"Each fold chose anew, which was judged as {judged}; the same choice on all rows gives {arm}. {found['why']}"
    members = list(facts["members"])
    return found | {"arm": arm, "form": facts["form"], "why": why, "judged_as": judged, "members": members}


def _settled(flag: Mapping[str, Any], evidence: Sequence[Mapping[str, Any]], recommended: Mapping[str, Any]) -> bool:
    """Whether a flag says that the choice made in each fold is worse than the very arm that the choice on all rows
    gives: nobody has to ship another then."""
    couple = (recommended.get("judged_as"), recommended["arm"])
    rows = [row for row in evidence if row["id"] in flag["evidence"]]
    return flag["flag"] == "worse_than_best_single" and couple in [(row["arm"], row["versus"]) for row in rows]


def set_up(prepared: Prepared, meta: Mapping[str, Any]) -> dict[str, Any]:
    """What was done to whom, for the report; no clock, no path of this machine."""
    recipe, first = prepared.recipe, prepared.partition.runs[0]
    field = joint_field(prepared.cards.values())
    return {
        "title": recipe.title,
        "task": plain(recipe.task.model_dump()) | {"classes": list(prepared.items.classes)},
        "data": {
            "source": _described(recipe.data),
            "items": len(prepared.items),
            kind_of(prepared.items.kind).columns: len(prepared.items.classes),
            "train": len(first.train),
            "selection": len(np.unique(np.concatenate([first.calibrate, *(fit.held for fit in first.fits)]))),
            "judged": meta["judged"],
            "canvas": prepared.setting.canvas,
            **({} if field == IMAGE else {"field": field}),
            "fingerprint": prepared.items.fingerprint,
            "notes": list(prepared.partition.notes),
        },
        "protocol": prepared.partition.protocol,
        "runs": [run.name for run in prepared.partition.runs],
        "margin": {"rule": recipe.margin, "value": meta["margin"], "metric": recipe.task.metric},
        "sources": [
            {
                "name": name,
                "spec": card.spec,
                "parameters": card.parameters,
                "licence": card.licence,
                "sha256": card.sha256,
                "random": card.random,
                "seen": card.seen,
                "taps": recipe.entries[name].taps or [],
                "notes": list(card.notes),
            }
            for name, card in prepared.cards.items()
        ],
        "choices": meta["choices"],
        "threads": recipe.run.threads,
        "precision": recipe.run.precision,
        "device": recipe.run.device,
        "version": __version__,
        "recipe": written(recipe),
        "command": "transfuse run recipe.lock.yaml",
    }


def _described(data: Any) -> str:
    if isinstance(data, str):
        return data
    if isinstance(data, dict):
        return str(next((data[key] for key in ("read", "csv", "npz") if key in data), data))
    return f"a {type(data).__name__} given in Python"


def measurements_of(
    artifact: Artifact | None, cpu_seconds: float, further: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """`measurements.json`: rows like evidence, but of this machine and this hour; `further` ones follow."""
    rows: list[dict[str, Any]] = []
    for arm, found in sorted((artifact.meta["arms"] if artifact else {}).items()):
        for quantity, unit in UNITS.items():
            value = found[quantity]
            known = {"undefined": found.get("lacking", UNTOLD)} if value is None else {"value": value}
            row = {"id": f"{quantity}:{arm}", "arm": arm, "quantity": quantity, "unit": unit, "direction": "lower"}
            rows.append(
                row | known | {"n": found["rounds"], "reproducible": False, "method": "single calls, arms in turn"}
            )
    machine = {key: artifact.meta[key] for key in ("device", "threads", "batch")} if artifact else {}
    return {
        "schema": "transfuse/measurements/1",
        "measurements": [*rows, *map(dict, further)],
        "machine": machine,
        "cpu_seconds": round(cpu_seconds, 1),
    }


def delivered(folder: Folder) -> list[str]:
    """The files that a run has written for good, by their paths in its folder."""
    found = [path for path in folder.delivered if path.is_file()]
    found += [path for path in folder.predictions.rglob("*") if path.name.endswith(PREDICTED)]
    found += [path for model in folder.models for path in model.rglob("*") if path.is_file()]
    return sorted({path.relative_to(folder.path).as_posix() for path in found})


def keep_history(folder: Folder, evidence: Mapping[str, Any]) -> None:
    """Move the results of another plan to `history/KEY/` before new ones take their place."""
    if not folder.evidence.exists():
        return
    try:
        old = json_object(folder.evidence, "unreadable")["ledger"]["plan"]
    except (UserError, KeyError, TypeError):
        old = "unreadable"
    # A plan's key is a digest: what is none is no name for a folder either.
    old = old if isinstance(old, str) and PLAN_KEY.fullmatch(old) else "unreadable"
    if old == evidence["ledger"]["plan"]:
        return
    target = folder.history / old[:16]
    target.mkdir(parents=True, exist_ok=True)
    for path in folder.delivered:
        if path.exists():
            path.replace(target / path.name)


def write_reports(
    folder: Folder, evidence: Mapping[str, Any], measurements: Mapping[str, Any], pictures: Mapping[str, str]
) -> None:
    """`report.html` with small pictures of items that changed, `report.md`, and the pictures in `thumbnails.json`."""
    from transfuse.report.html import render_html
    from transfuse.report.text import render_markdown

    write_text(folder.thumbnails, pretty({"schema": "transfuse/thumbnails/1", "items": dict(pictures)}))
    write_text(folder.report, render_html(dict(evidence), dict(measurements), pictures))
    write_text(folder.markdown, render_markdown(dict(evidence), dict(measurements)))


def pictures_of(evidence: Mapping[str, Any], items: Items, raw: Callable[[int], Any]) -> dict[str, str]:
    """Small pictures, as `data:` addresses by id, of the items that the report shows."""
    from transfuse.data.thumbnail import thumbnail
    from transfuse.report.sections import flips, nearest
    from transfuse.report.view import View

    rows = {name: row for row, name in enumerate(items.ids)}
    view = View(evidence)
    shown = dict.fromkeys((*flips.items_shown(view), *nearest.items_shown(view)))
    wanted = [name for name in shown if name in rows]
    made = {name: thumbnail(raw(rows[name])) for name in wanted}
    return {name: picture for name, picture in made.items() if picture is not None}


def write_records(
    folder: Folder, prepared: Prepared, evidence: Mapping[str, Any], measurements: Mapping[str, Any]
) -> None:
    """The lock file and both JSON files; the evidence last, so that its presence means all is there."""
    write_text(folder.lock, written(prepared.recipe))
    write_text(folder.measurements, pretty(measurements))
    write_bytes(folder.evidence, pretty(evidence).encode())


def read_state(folder: Folder) -> dict[str, Any]:
    """What the last complete run left: the keys of its results."""
    try:
        state = json_object(folder.state, "unreadable")
    except UserError:
        return {}
    files = state.get("files", {})
    return state if isinstance(files, dict) and all(isinstance(kept, str) for kept in files.values()) else {}
