"""Predictions as files in a run's folder: without them nobody could judge a run's arms by a measure of their own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.data.items import Items
from transfuse.folder import Folder, file_name
from transfuse.jsonio import pretty
from transfuse.run.engine import Walk
from transfuse.run.prepare import Prepared
from transfuse.store import HALF, Artifact, write_text
from transfuse.types import CLEAN

# What the files among the predictions end with.
PREDICTED = (".safetensors", ".items.json")


def write_predictions(folder: Folder, walk: Walk, prepared: Prepared, evaluation: Artifact) -> None:
    """`predictions/ARM/RUN/SPLIT/CONDITION.safetensors` for all judged arms, and each split's items once beside them.

    SPLIT is `test`, or an outside set's name; CONDITION is `clean`, or `NAME@LEVEL` of the judged rows.
    """
    target, scratch = folder.predictions, folder.path / ".predictions.tmp"
    # A run that was killed at this place left with it what others had put among the predictions.
    _carry_along(scratch, target)
    shutil.rmtree(scratch, ignore_errors=True)
    splits = _splits(prepared, evaluation)
    for role, key in walk.inputs("evaluate").items():
        what, *rest = role.split("|", 4)
        found = walk.store.get(key) if what in ("predict", "expose") else None
        if found is None or "failed" in found.meta:
            continue
        _, arm, run, exposure = (*rest, CLEAN)[:4]
        split, condition = (exposure, CLEAN) if exposure in splits else ("test", exposure)
        path = scratch / file_name(arm.split("@", 1)[0]) / run / file_name(split) / f"{condition}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows, items = splits[split]
        facts = {
            "scale": found.meta["scale"],
            "temperature": repr(found.meta["temperature"]),
            "items": prepared.fingerprint if split == "test" else items.fingerprint,
        }
        arrays = {"scores": found["scores"].astype(np.float32), "rows": np.searchsorted(rows, found["rows"])}
        path.write_bytes(safetensors_bytes(arrays, facts))
    for split, (rows, items) in splits.items():
        write_text(
            scratch / f"{file_name(split)}.items.json", pretty(_listed(items.take(rows), prepared.items.classes))
        )
    _carry_along(target, scratch)
    shutil.rmtree(target, ignore_errors=True)
    scratch.rename(target)


def _carry_along(folder: Path, to: Path) -> None:
    """What others have put among the predictions goes along to where those are or will be; what a write of ours left
    half-done does not."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.endswith(PREDICTED) and not HALF.fullmatch(path.name):
            place = to / path.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)


def safetensors_bytes(arrays: Mapping[str, np.ndarray], facts: Mapping[str, str]) -> bytes:
    """A safetensors file whose bytes are the same every time: the package writes the facts in a random order."""
    from safetensors.numpy import save

    data = save(dict(arrays), metadata=dict(facts))
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    padded = header + b" " * (-len(header) % 8)
    return len(padded).to_bytes(8, "little") + padded + data[start:]


def _splits(prepared: Prepared, evaluation: Artifact) -> dict[str, tuple[np.ndarray, Items]]:
    """The judged rows and those of outside sets, each with the table they are rows of."""
    further = {name: rows for name, rows in evaluation.arrays.items() if name.startswith("outside|")}
    named = {name.removeprefix("outside|"): rows for name, rows in further.items()}
    outside = {name: (rows, prepared.surroundings.items[name]) for name, rows in named.items()}
    return {"test": (evaluation["judged"], prepared.items), **outside}


def _listed(items: Items, classes: Sequence[str]) -> dict[str, Any]:
    return {
        "ids": list(items.ids),
        "targets": list(items.labels),
        "groups": None if items.groups is None else list(items.groups),
        "classes": list(classes),
    }
