"""What was seen on the way of trainings: without it nobody could ask how fast an arm learns, or from how little."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from transfuse.steps import _spent
from transfuse.steps._case import Entry, selected, shown
from transfuse.store import Artifact
from transfuse.types import Observation

# What a training tells after every epoch, by the primary metric it is a value of.
TOLD = {"log_loss": "held", "binary_log_loss": "held", "squared_error": "held", "accuracy": "accuracy"}
Rows = Mapping[str, Artifact]


def epochs(places: Mapping[str, Entry], rows: Rows, metric: str) -> Iterator[Observation]:
    """`epoch_loss`: the primary metric on the held rows after each epoch of the training that was kept, before any
    temperature. Only arms that were trained by gradient have a curve, and only loss and accuracy are told."""
    for name, entry in places.items():
        for run, arm in entry.arms.items():
            fit, count = entry.fits[run], entry.counts[arm]
            for point in fit.meta.get("curve", ()):
                if TOLD.get(metric, "") not in point:
                    continue
                items = int(point["epoch"]) * fit.meta["rows"]
                warm = float(items * count.meta["step_flops"])
                yield Observation(
                    arm=name,
                    run=run,
                    quantity="epoch_loss",
                    value=float(point[TOLD[metric]]),
                    rows=fit.meta["rows"],
                    items=items,
                    flops=warm + _spent.features(fit, count, rows[run].arrays),
                    warm_flops=warm,
                )


def sizes(inputs: Mapping[str, Artifact], metric: str, targets: np.ndarray) -> Iterator[Observation]:
    """`selection_loss`: the primary metric on the selection rows once training was done, for every number of rows.

    Inputs are `learn|PLACE|ARM|RUN|NUMBER` (fits), `weigh|PLACE|ARM|` (counts) and `fewer|RUN|NUMBER` (rows); a place
    that holds another arm in each fold keeps its own name. A training that failed tells nothing.
    """
    fits = {tuple(role.split("|")[1:]): fit for role, fit in inputs.items() if role.startswith("learn|")}
    names: dict[str, set[str]] = {}
    for place, arm, *_ in fits:
        names.setdefault(place, set()).add(shown(arm))
    for (place, arm, run, number), fit in fits.items():
        if "failed" in fit.meta:
            continue
        count = inputs[f"weigh|{place}|{arm}|"]
        warm = _spent.warm(fit, count)
        yield Observation(
            arm=next(iter(names[place])) if len(names[place]) == 1 else place,
            run=run,
            quantity="selection_loss",
            value=selected(fit, metric, targets),
            rows=fit.meta["rows"],
            items=fit.meta["items"],
            flops=warm + _spent.features(fit, count, inputs[f"fewer|{run}|{number}"].arrays),
            warm_flops=warm,
            final=True,
        )


def trained(places: Mapping[str, Entry]) -> Iterator[Observation]:
    """`trained_log_loss` and `trained_accuracy`: what a trained network reaches on the rows it learned from."""
    for name, entry in places.items():
        for run, fit in entry.fits.items():
            for metric, value in (fit.meta.get("trained") or {}).items():
                yield Observation(name, run, f"trained_{metric}", float(value), rows=fit.meta["rows"], final=True)


def branches(places: Mapping[str, Entry], described: Mapping[str, Mapping[str, Any]]) -> Iterator[Observation]:
    """`branch_solo:NAME`, `branch_without`, `branch_gradient`, `branch_share` and `branch_dead` of every branch of the
    networks that were watched, and `gate_entropy`; a branch is a member, or a member on a view of the canvas."""
    for name, entry in places.items():
        for run, arm in entry.arms.items():
            fit = entry.fits[run]
            health = fit.meta.get("health")
            if not health:
                continue
            labels = _labels(fit.meta["made_of"]["params"]["reads"], described[arm]["members"])
            found = {"gate_entropy": health["entropy"]}
            for label, branch in zip(labels, health["branches"], strict=True):
                found |= {f"branch_{fact}:{label}": value for fact, value in branch.items()}
            for quantity, value in found.items():
                if value is not None:
                    yield Observation(name, run, quantity, float(value), rows=health["rows"], final=True)


def ways(places: Mapping[str, Entry]) -> Iterator[Observation]:
    """`path_loss:VIEW:SHARE`: the log-loss at each point of the straight way between two sources that were merged."""
    for name, entry in places.items():
        for run, fit in entry.fits.items():
            told: dict[str, Any] = (fit.meta.get("merge") or {}).get("path") or {"loss": {}}
            for view, losses in told["loss"].items():
                for share, loss in zip(told["shares"], losses, strict=True):
                    yield Observation(name, run, f"path_loss:{view}:{share:.6g}", float(loss), told["rows"], final=True)


def _labels(reads: Sequence[Sequence[Any]], members: Sequence[str]) -> list[str]:
    """The branches' names in order; reads of no member are of the canvas itself."""
    seen = dict.fromkeys((read[0], read[2]) for read in reads if (*read, "block")[3] == "block")
    names = {place: members[place] if place >= 0 else "canvas" for place, _ in seen}
    return [str(names[place]) if view == "plain" else f"{names[place]}@{view}" for place, view in seen]
