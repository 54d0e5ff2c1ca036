"""The recommended model as a folder; without it a run would end in a report about something that nobody has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from transfuse import __version__
from transfuse.data.canvas import batch
from transfuse.data.familiar import Familiar, fit, looks
from transfuse.data.open import open_data, settings
from transfuse.errors import UserError
from transfuse.fields import IMAGE
from transfuse.folder import Folder
from transfuse.jsonio import pretty
from transfuse.run.prepare import Prepared
from transfuse.store import Artifact, Store

MOST_ROWS = 200


def deliver_model(
    prepared: Prepared,
    store: Store,
    ship: str,
    folder: Folder,
    evidence: Mapping[str, Any],
    modules: Mapping[str, Any],
    root: Path,
) -> None:
    """`models/ARM/`: the recommended model with its temperature, the hash of the evidence it belongs to, and what the
    images look like that it is for."""
    picked = store.need(ship).meta
    if "fit" not in picked:
        return
    from transfuse.fusion.saved import save
    from transfuse.steps import Context
    from transfuse.steps._model import opened

    context = Context(store, root, modules=modules, device="cpu")
    model = opened(picked["fit"], context, picked["arm"])
    fitted = store.need(picked["fit"])
    model.temperature = fitted.meta["temperature"]
    facts: dict[str, Any] = {
        "canvas": prepared.setting.canvas,
        "classes": list(prepared.items.classes),
        "arm": picked["arm"],
        "run": picked["run"],
        "origin": {
            "evidence": hashlib.sha256(pretty(evidence).encode()).hexdigest(),
            "plan": evidence["ledger"]["plan"],
            "made_by": f"transfuse {__version__}",
        },
    }
    known = familiar(prepared, picked["run"], fitted)
    facts |= {} if known is None else {"familiar": known.record()}
    table = settings(prepared.recipe.data).read
    if isinstance(table, Mapping) and "csv" in table:
        # Who asks it of another table calls the columns as the recipe did.
        facts["table"] = {key: value for key, value in table.items() if key not in ("csv", "columns")}
    save(model, folder.model(picked["arm"]), facts=facts)


def familiar(prepared: Prepared, run: str, fitted: Artifact) -> Familiar | None:
    """What images like the training rows look like, and how sure the model is of rows that it did not learn from.

    Under cross-fitting rows stand on both sides in turn: every other one is kept apart.
    None where the images are gone, and of texts, which have no such looks.
    """
    found = next((each for each in prepared.partition.runs if each.name == run), prepared.partition.runs[0])
    learnt = np.setdiff1d(found.train, found.calibrate)
    training, apart = (learnt, found.calibrate) if len(learnt) else (found.train[::2], found.train[1::2])
    try:
        data = open_data(settings(prepared.recipe.data).read, prepared.root, prepared.items)
        if data.field != IMAGE:
            return None
        seen = [looks(batch(data, _some(rows), prepared.setting.canvas)) for rows in (training, apart)]
    except (UserError, OSError, ValueError):
        return None
    answers = None
    if prepared.items.kind == "multiclass" and "calibrate" in fitted.arrays:
        from transfuse.evaluation import temperature

        answers = temperature.apply(fitted["calibrate"], fitted.meta["scale"], fitted.meta["temperature"])
    return fit(seen[0], seen[1], answers)


def _some(rows: np.ndarray) -> np.ndarray:
    """At most so many rows, evenly spread."""
    places = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).round().astype(np.int64))
    return rows[places] if len(rows) else rows
