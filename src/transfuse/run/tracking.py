"""Telling a tracker of a finished run; without it a service that is down could cost the run that was to be told of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from transfuse.errors import TransfuseError, first_line
from transfuse.events import Emit, Journal
from transfuse.folder import Folder
from transfuse.registry import find
from transfuse.run.trackers import SHELF, Finished, TrackerFile

# Names and passwords in an address.
SECRET = re.compile(r"//[^/@\s]*@")


def named(asked: str) -> tuple[TrackerFile, str | None]:
    """The tracker of `NAME` or `NAME:ADDRESS`, usable here, and the address. Raises UserError for an unknown name, and
    where its package is missing."""
    name, _, address = asked.partition(":")
    file = cast(TrackerFile, find(SHELF, name, where="--track").load())
    file.check()
    return file, address or None


def tell(asked: str, folder: Path, evidence: Mapping[str, Any], emit: Emit) -> None:
    """Send a finished run; what goes wrong is an event, for the run is whole without it."""
    file, address = named(asked)
    by = SECRET.sub("//", asked)
    finished = Finished(folder, folder.resolve().name, evidence, curves(folder))
    try:
        emit("tracked", by=by, where=file.send(finished, address))
    # Whatever a service and its library raise, and they share no parent, the run has ended well.
    except Exception as error:  # noqa: BLE001
        emit("not_tracked", by=by, why=SECRET.sub("//", _brief(error)))


def _brief(error: Exception) -> str:
    if isinstance(error, TransfuseError):
        return " ".join(str(error).split())
    return f"{type(error).__name__}: {first_line(error, 300)}"[:300]


def curves(folder: Path) -> dict[str, list[dict[str, float]]]:
    """Losses by epoch of every fit that this folder's journal saw, the last time it was trained."""
    found: dict[str, list[dict[str, float]]] = {}
    for event in Journal(Folder(folder).journal).read():
        step = event.get("step")
        if not isinstance(step, str) or not step.startswith("fit "):
            continue
        if event["event"] == "step_started":
            found[step] = []
        elif event["event"] == "progress" and isinstance(event.get("train"), int | float):
            point = {"epoch": event["done"], "train": event["train"], "held": event.get("held")}
            found.setdefault(step, []).append({key: value for key, value in point.items() if value is not None})
    return {step: points for step, points in found.items() if points}
