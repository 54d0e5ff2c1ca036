"""From a plan's artifacts to the case that the evaluation judges: tables by arm, on the same rows for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from transfuse.data.items import Items
from transfuse.evaluation import temperature
from transfuse.evaluation.tables import Table, table
from transfuse.store import Artifact
from transfuse.types import Arm, Cost, ItemTable, Predictions

OUT_OF_FOLD = "oof"


@dataclass
class Entry:
    """What stands at one place of the evaluation, run by run: the arm put there, its fit and its predictions."""

    slot: str
    arms: dict[str, str] = field(default_factory=dict)
    fits: dict[str, Artifact] = field(default_factory=dict)
    predictions: dict[str, Artifact] = field(default_factory=dict)
    counts: dict[str, Artifact] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The arm's name where all runs have the same arm there, else the place's."""
        names = set(self.arms.values())
        return names.pop() if len(names) == 1 else self.slot

    @property
    def failure(self) -> str | None:
        """Why it cannot be judged, if it cannot."""
        artifacts = [*self.fits.values(), *self.predictions.values()]
        reasons = [artifact.meta["failed"] for artifact in artifacts if "failed" in artifact.meta]
        return reasons[0] if reasons else None

    @property
    def selection(self) -> float:
        """Mean selection loss over the runs."""
        return float(np.mean([fit.meta["selection"] for fit in self.fits.values()]))


def entries(inputs: Mapping[str, Artifact]) -> dict[str, Entry]:
    """All places by slot, from the roles `fit|SLOT|ARM|RUN`, `predict|SLOT|ARM|RUN`, `count|SLOT|ARM|`.

    An empty slot holds candidates that are not judged: they become places of their own, with a fit only.
    """
    found: dict[str, Entry] = {}
    for role, artifact in inputs.items():
        what, *rest = role.split("|")
        if what not in ("fit", "predict", "count"):
            continue
        slot, arm, run = rest
        entry = found.setdefault(slot or f"unjudged {arm}", Entry(slot or arm))
        if what == "count":
            entry.counts[arm] = artifact
            continue
        entry.arms[run] = arm
        (entry.fits if what == "fit" else entry.predictions)[run] = artifact
    return found


def judged_items(items: Items, rows: Mapping[str, Artifact]) -> tuple[np.ndarray, ItemTable]:
    """The judged rows in ascending order, and their table."""
    judged = np.unique(np.concatenate([artifact["judge"] for artifact in rows.values()]))
    groups = None if items.groups is None else tuple(items.groups[row] for row in judged)
    ids = tuple(items.ids[row] for row in judged)
    return judged, ItemTable(ids, items.targets()[judged], groups)


def judged_table(entry: Entry, judged: np.ndarray, items: ItemTable, *, locked: bool) -> Table:
    """Calibrated probabilities: [k, N, C] for k seeds, or [1, N, C] put together from the folds."""
    found = {run: _log_scores(artifact) for run, artifact in entry.predictions.items()}
    if locked:
        runs = tuple(found)
        scores = np.stack([scores[np.argsort(rows)] for rows, scores, _ in found.values()])
        heats = np.array([heat for _, _, heat in found.values()])
    else:
        runs = (OUT_OF_FOLD,)
        order = np.argsort(np.concatenate([rows for rows, _, _ in found.values()]))
        scores = np.concatenate([scores for _, scores, _ in found.values()])[order][None]
        heats = np.concatenate([np.full(len(rows), heat) for rows, _, heat in found.values()])[order][None]
    made = table(Predictions(entry.name, runs, scores, "logit"), items, heats)
    logits = all(artifact.meta["scale"] == "logit" for artifact in entry.predictions.values())
    return made if logits else replace(made, logits=None)


def composite(slot: str, chosen: Mapping[str, str], known: Sequence[Entry]) -> Entry:
    """The place that a choice over known arms makes: in each run the arm that was chosen for it."""
    made = Entry(slot)
    by_arm = {(run, arm): entry for entry in known for run, arm in entry.arms.items()}
    for run, arm in chosen.items():
        entry = by_arm[run, arm]
        made.arms[run] = arm
        made.fits[run] = entry.fits[run]
        made.predictions[run] = entry.predictions[run]
        made.counts[arm] = entry.counts[arm]
    return made


def cost(entry: Entry, rows: Mapping[str, Artifact], *, frozen: bool) -> Cost:
    """Counted cost: per item of the dearest arm put there, and the mean training of its runs.

    Training counts every trial and inner fold; where members are frozen, their features of each row once.
    """
    trained = []
    for run, arm in entry.arms.items():
        counted = entry.counts[arm].meta
        there = rows[run].arrays
        extracted = len(np.unique(np.concatenate([there["train"], there["calibrate"], *_helds(there)])))
        once = counted["member_flops"] * extracted if frozen else 0
        trained.append(entry.fits[run].meta.get("items", 0) * counted["step_flops"] + once)
    metas = [artifact.meta for artifact in entry.counts.values()]
    return Cost(
        parameters=max(meta["parameters"] for meta in metas),
        trainable_parameters=max(meta["trainable_parameters"] for meta in metas),
        inference_flops=float(max(meta["inference_flops"] for meta in metas)),
        train_flops=float(np.mean(trained)),
    )


def arm_record(entry: Entry, described: Mapping[str, Any], found: Cost) -> Arm:
    """The arm as the evidence names it; a place that differs between runs lists the arms put there as members."""
    names = sorted(set(entry.arms.values()))
    facts = described[names[0]]
    mixed = len(names) > 1
    return Arm(
        name=entry.name,
        role=facts["role"],
        members=tuple(names) if mixed else tuple(facts["members"]),
        method="chosen in each fold" if mixed else facts["method"],
        train=facts["train"] if not mixed else "as chosen",
        form=facts["form"],
        cost=found,
        seeds=len(entry.fits),
    )


def _log_scores(artifact: Artifact) -> tuple[np.ndarray, np.ndarray, float]:
    """Rows, scores as logits whatever the arm gives, and the run's own temperature."""
    meta = artifact.meta
    return artifact["rows"], temperature.as_logits(artifact["scores"], meta["scale"]), meta["temperature"]


def _helds(rows: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    return [array for name, array in rows.items() if name.startswith("held")]
