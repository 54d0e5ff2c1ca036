"""Sources looked at before anything is trained: their kept features go in, the evidence of `choose` comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import softmax

from transfuse import seeds
from transfuse.data.draw import deal
from transfuse.data.items import Items
from transfuse.errors import UserError
from transfuse.evaluation.appraisal import Appraisal, Sources, appraise, named
from transfuse.evaluation.case import MarginRule
from transfuse.evaluation.material import Material
from transfuse.jsonio import plain
from transfuse.steps import Context, Result, table
from transfuse.steps._apart import whole
from transfuse.store import Artifact
from transfuse.types import Cost, ItemTable

REVISION = 4
FOLDS = 5
SCHEMA = "transfuse/evidence/1"


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`evidence.json` of a choice without what only the run knows, from `features|SOURCE|READ|BLOCK`,
    `answers|SOURCE|BLOCK`, `count|SOURCE` and `stated|SOURCE`; sources whose features failed are left out and named.
    """
    items = table(inputs["items"])
    failed = _failed(inputs)
    names = [name for name in params["sources"] if name not in failed]
    if not names:
        reasons = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise UserError("no source gave features that can be looked at", got=reasons)
    rows = _together(inputs, f"features|{names[0]}|0|")[0]
    kept = ItemTable(
        tuple(items.ids[row] for row in rows),
        items.targets()[rows],
        None if items.groups is None else tuple(items.groups[row] for row in rows),
    )
    folds = _folds(items, rows, kept)
    materials = {name: _material(name, inputs, kept, folds, len(items.classes)) for name in names}
    costs = {name: _cost(inputs[f"count|{name}"]) for name in names}
    sources = Sources(materials, kept, costs, MarginRule(params["margin"]), params["every_score"])
    found = appraise(sources)
    meta = {"evidence": _record(found, sources, failed), "margin": found.margin, "rows": len(kept)}
    return meta, {"rows": rows, "folds": folds}


def _record(found: Appraisal, sources: Sources, failed: Mapping[str, str]) -> dict[str, Any]:
    arms = []
    for names in sources.answers:
        if not 1 <= len(names) <= 2:
            continue
        cost = _sum([sources.costs[name] for name in names])
        single = len(names) == 1
        facts = {"name": named(names), "role": "baseline" if single else "candidate", "members": list(names)}
        arms.append({**facts, "method": "ridge head", "train": "frozen", "seeds": 1, "cost": plain(cost)})
    verdict = found.verdict
    return {
        "schema": SCHEMA,
        "kind": "choice",
        "verdict": {
            "recommendation": plain(verdict.recommendation),
            "claims": plain(verdict.claims),
            "flags": plain(verdict.flags),
        },
        "ties": [list(names) for names in found.ties],
        "arms": arms,
        "evidence": [row.record() for row in found.rows],
        "not_measured": [{"what": name, "why": why} for name, why in sorted(failed.items())],
    }


def _sum(costs: list[Cost]) -> Cost:
    return Cost(
        parameters=sum(cost.parameters for cost in costs),
        trainable_parameters=sum(cost.trainable_parameters for cost in costs),
        inference_flops=sum(cost.inference_flops for cost in costs),
        train_flops=sum(cost.train_flops for cost in costs),
    )


def _cost(count: Artifact) -> Cost:
    meta = count.meta
    return Cost(meta["parameters"], meta["trainable_parameters"], float(meta["inference_flops"]), 0.0)


def _failed(inputs: Mapping[str, Artifact]) -> dict[str, str]:
    return {
        role.split("|")[1]: artifact.meta["failed"]
        for role, artifact in inputs.items()
        if role.startswith(("features|", "count|")) and "failed" in artifact.meta
    }


def _material(name: str, inputs: Mapping[str, Artifact], kept: ItemTable, folds: np.ndarray, classes: int) -> Material:
    reads = sorted({role.split("|")[2] for role in inputs if role.startswith(f"features|{name}|")}, key=int)
    block = np.concatenate([_together(inputs, f"features|{name}|{read}|")[1] for read in reads], axis=1)
    answers = None
    if any(role.startswith(f"answers|{name}|") for role in inputs):
        logits = _together(inputs, f"answers|{name}|")[1]
        answers = softmax(logits.astype(np.float64), axis=1)
    stated = inputs[f"stated|{name}"].meta
    return Material(
        features=block,
        targets=np.asarray(kept.targets),
        classes=classes,
        folds=folds,
        answers=answers,
        ids=kept.ids,
        parameters=stated["parameters"],
        stated_accuracy=stated["accuracy"],
    )


def _together(inputs: Mapping[str, Artifact], prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows in ascending order, and their block, from all blocks of rows that were extracted."""
    parts = [inputs[role] for role in sorted(inputs) if role.startswith(prefix)]
    rows = np.concatenate([part["rows"] for part in parts])
    block = np.concatenate([whole(part) for part in parts])
    order = np.unique(rows, return_index=True)[1]
    return rows[order], block[order]


def _folds(items: Items, rows: np.ndarray, kept: ItemTable) -> np.ndarray:
    """Five folds with every class where classes are large enough; else by a draw of ids, or of groups."""
    counts = np.bincount(np.asarray(kept.targets))
    folds = np.empty(len(rows), dtype=np.int64)
    if kept.groups is None and counts[counts > 0].min() >= FOLDS:
        for number, held in enumerate(deal(items, rows, FOLDS, "choose", "fold", where="choose")):
            folds[np.isin(rows, held)] = number
        return folds
    names = list(kept.groups or kept.ids)
    return np.floor(FOLDS * seeds.uniform(names, "choose", "fold")).astype(np.int64)
