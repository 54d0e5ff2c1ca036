"""The evaluation: everything predicted goes in, verdict and evidence come out; no model is ever seen here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from transfuse.data.items import Items
from transfuse.evaluation.case import Case, MarginRule
from transfuse.evaluation.metric import metrics_from
from transfuse.evaluation.verdict import judge, record
from transfuse.steps import (
    Context,
    Result,
    _apart,
    _case,
    _chosen,
    _exposed,
    _near,
    _observed,
    _retained,
    _searched,
    _sizes,
    _stitched,
    table,
)
from transfuse.steps._spent import BYTES
from transfuse.store import Artifact
from transfuse.types import Arm, Flag, Task

REVISION = 24
AGAINST = (
    "ensemble",
    "soup",
    "alternative",
    "copies",
    "random",
    "scratch",
    "compute_matched",
    "parameter_matched",
)
NO_CONTROL = "what was chosen has no such control: it is no network of its own, or does not hold that source"
CHOSEN = ("best_fusion", "economical")
Places = Mapping[str, _case.Entry]


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`evidence.json` without what only the run knows (ledger, set-up), and which arm was recommended."""
    with metrics_from(context.root):
        return _judged(params, inputs)


def _judged(params: Mapping[str, Any], inputs: Mapping[str, Artifact]) -> Result:
    items = table(inputs["items"])
    rows = {role.split("|")[1]: artifact for role, artifact in inputs.items() if role.startswith("rows|")}
    places = _case.entries(inputs)
    failed = {slot: why for slot, entry in places.items() if (why := entry.failure or _patchy(entry, rows))}
    sound = {slot: entry for slot, entry in places.items() if slot not in failed}
    choices = _choices(inputs)
    known = [entry for entry in sound.values() if entry.predictions]
    best = _case.composite("best_single", _by_run(choices, "best_single", rows), known)
    winner = sound.get("best_fusion", best)
    standing: dict[str, _case.Entry] = {}
    for entry in (*known, best, winner):
        standing.setdefault(entry.name, entry)
    judged, case = _made(params, inputs, items, rows, standing, sound, (winner.name, best.name))
    named = {place: entry.name for place, entry in {**sound, "best_single": best}.items()}
    repeats = None if params["protocol"] == "locked" else params["repeats"]
    beyond = _exposed.exposed(inputs, (judged, case.items), named, repeats)
    chosen = {"best_single": best, **({"best_fusion": winner} if winner is not best else {})}
    kept = _retained.observations(inputs, params["holdings"], chosen, rows)
    case = replace(
        case,
        conditions=beyond.conditions,
        attacks=beyond.attacks,
        outside=beyond.outside,
        observations=(*case.observations, *kept),
    )
    judgement = judge(case)
    missing = _absent(params, inputs, places) | {places[slot].name: why for slot, why in failed.items()}
    missing |= beyond.failed | _retained.failures(inputs) | _stitched.failures(inputs)
    made = record(judgement, case.arms, {}, {}, [{"what": name, "why": why} for name, why in sorted(missing.items())])
    made["evidence"] += [row.record() for row in (*_searched.evidence(inputs), *_stitched.evidence(inputs, items))]
    closed = {
        entry.name: entry.selection(params["task"]["metric"], items.targets())
        for entry in sound.values()
        if not entry.predictions and entry.name not in standing
    }
    meta = {
        "chosen": judgement.verdict.recommendation.arm,
        "evidence": made,
        "margin": judgement.margin,
        "choices": choices,
        "closed": closed,
        "judged": len(judged),
        "heat": {entry.name: [fit.meta["temperature"] for fit in entry.fits.values()] for entry in known},
    }
    return meta, {"judged": judged, **{f"outside|{name}": rows for name, rows in beyond.rows.items()}}


def _made(
    params: Mapping[str, Any],
    inputs: Mapping[str, Artifact],
    items: Items,
    rows: Mapping[str, Artifact],
    standing: Places,
    sound: Places,
    chosen: tuple[str, str],
) -> tuple[np.ndarray, Case]:
    """The judged rows and the case: tables and costs of the arms that stand, and what was seen on their way."""
    judged, judged_items = _case.judged_items(items, rows)
    repeats = None if params["protocol"] == "locked" else params["repeats"]
    task = Task(
        **{**params["task"], "classes": tuple(params["task"]["classes"]), "also": tuple(params["task"]["also"])}
    )
    most = max((fit.meta.get("trials", 0) for entry in standing.values() for fit in entry.fits.values()), default=0)
    arms = {
        name: _case.arm_record(
            entry, params["arms"], _case.cost(entry, rows, tuple(sound.values()), params["arms"]), most
        )
        for name, entry in standing.items()
    }
    arms = _sizes.sized(arms)
    targets = items.targets()
    seen = [
        *_observed.epochs(standing, rows, task.metric),
        *_observed.sizes(inputs, task.metric, targets),
        *_observed.trained(standing),
        *_observed.branches(standing, params["arms"]),
        *_observed.ways(standing),
    ]
    return judged, Case(
        task=task,
        items=judged_items,
        arms=tuple(arms.values()),
        tables={name: _case.judged_table(entry, judged_items, repeats) for name, entry in standing.items()},
        selection={name: entry.selection(task.metric, targets) for name, entry in standing.items()},
        winner=chosen[0],
        best_single=chosen[1],
        comparisons=tuple(_comparisons(*chosen, sound, arms, params["arms"])),
        margin=MarginRule(params["margin"]),
        protocol=params["protocol"],
        flags=(*_flags(params), *_lineage(standing)),
        within_budget=_within(params, inputs, arms),
        features=_apart.features(inputs, items, rows, repeats),
        nearest=_near.nearest(inputs, items, judged),
        observations=tuple(seen),
        guards=dict(params["guards"]),
        target=params["target"],
        selection_losses=_chosen.selection_losses(
            sound.values(), params["arms"], targets, params["protocol"], task.metric
        ),
    )


def _choices(inputs: Mapping[str, Artifact]) -> list[dict[str, Any]]:
    found = []
    for role, artifact in inputs.items():
        if role.startswith("choice|"):
            _, choice, scope = role.split("|")
            found.append(
                {"choice": choice, "run": scope or "all", **{key: artifact.meta[key] for key in ("chosen", "scores")}}
            )
    return [*found, *_searched.choices(inputs)]


def _by_run(choices: list[dict[str, Any]], name: str, rows: Mapping[str, Artifact]) -> dict[str, str]:
    found = {choice["run"]: choice["chosen"] for choice in choices if choice["choice"] == name}
    return {run: found[run] if run in found else found["all"] for run in rows}


def _comparisons(
    winner: str, best: str, sound: Places, arms: Mapping[str, Arm], described: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """The winner against the best single and every rung that isolates something; other judged candidates against the
    best single and the ensemble; a student against itself untaught, a compressed arm against what it was made of."""
    rungs = [best, *(entry.name for slot, entry in sound.items() if entry.predictions and _isolates(slot))]
    others = [name for name, arm in arms.items() if arm.role == "candidate" and name in sound and name not in CHOSEN]
    plain = [rung for rung in rungs if rung in (best, "ensemble")]
    pairs = [(winner, rung) for rung in rungs] + [(name, rung) for name in others for rung in plain]
    pairs += [(name, f"{name}/untaught") for name in arms]
    pairs += [(name, whole) for name in arms for whole in _sizes.made_of(name, described)]
    return list(dict.fromkeys((arm, rung) for arm, rung in pairs if arm != rung and rung in arms))


def _patchy(entry: _case.Entry, rows: Mapping[str, Artifact]) -> str | None:
    """Why a place that stands in some runs only cannot be judged: not every row has an answer."""
    gaps = len(rows) - len(entry.fits)
    return f"in {gaps} of {len(rows)} runs what was chosen has no such control" if gaps else None


def _isolates(slot: str) -> bool:
    return slot.split("/")[0] in AGAINST or slot.endswith("/alternative")


def _absent(params: Mapping[str, Any], inputs: Mapping[str, Artifact], places: Places) -> dict[str, str]:
    """Controls that what was chosen cannot have, and the alternative that nobody named, with a proposal."""
    found = {slot: NO_CONTROL for slot in params["controls"] if slot not in places}
    if "proposal" in inputs:
        found["alternative"] = _proposal(inputs["proposal"].meta)
    return found


def _proposal(meta: Mapping[str, Any]) -> str:
    if meta["model"] is None:
        return f"the recipe names none, and no classifier of torchvision runs within {meta['limit']:.3g} FLOPs per item"
    spec = f"torchvision:{meta['model']}@{meta['tag']}"
    return (
        f"the recipe names none; of torchvision's classifiers within the fusion's {meta['limit']:.3g} FLOPs per item,"
        f" {spec} has the best stated accuracy on ImageNet-1k ({meta['accuracy']:.1f} % on images of {meta['pixels']}"
        f" pixels; about {meta['flops']:.3g} FLOPs at this canvas); write `alternative: {spec}`"
    )


def _flags(params: Mapping[str, Any]) -> tuple[Flag, ...]:
    """What is known of the rows beforehand: copies across the split, rows a source has seen, or may have."""
    flags = []
    for text in params["leaks"]:
        flags.append(Flag("invalid", text))
    unknown = sorted(name for name, seen in params["seen"].items() if seen == "unknown")
    if unknown:
        why = "nobody states which rows these sources were trained on: " + ", ".join(unknown)
        flags.append(Flag("unseen_unknown", f"{why}; if judged rows were among them, the figures flatter"))
    return tuple(flags)


def _lineage(standing: Places) -> list[Flag]:
    """Merges whose members do not come from one start."""
    flags = []
    for entry in standing.values():
        told = [fit.meta["merge"] for fit in entry.fits.values() if "merge" in fit.meta]
        wrong = [one for one in told if one["verdict"] != "mergeable"]
        if wrong:
            flags.append(
                Flag("lineage", f"{entry.name} merges weights that say: {wrong[0]['verdict']}; {wrong[0]['why']}")
            )
    return flags


def _within(
    params: Mapping[str, Any], inputs: Mapping[str, Artifact], arms: Mapping[str, Arm]
) -> frozenset[str] | None:
    """The arms that keep the recipe's limits of median latency at batch 1, counted FLOPs and weights; None without."""
    memory = params.get("memory")
    if params["latency"] is None and params["flops"] is None and memory is None:
        return None
    costs = {name: arm.cost for name, arm in arms.items() if arm.cost is not None}
    light = {
        name
        for name, cost in costs.items()
        if (params["flops"] is None or cost.inference_flops <= params["flops"])
        and (memory is None or (cost.stored_bytes or BYTES * cost.parameters) <= memory)
    }
    if params["latency"] is None:
        return frozenset(light)
    found = inputs["measure"].meta["arms"]
    limit_ms = 1000 * params["latency"]
    return frozenset(name for name in light if name in found and found[name]["latency_p50_ms"] <= limit_ms)
