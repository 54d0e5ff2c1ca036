"""The evaluation: everything predicted goes in, verdict and evidence come out; no model is ever seen here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.evaluation.case import Case, MarginRule
from transfuse.evaluation.tables import Table
from transfuse.evaluation.verdict import judge, record
from transfuse.steps import _case
from transfuse.steps._context import Context, Result, table
from transfuse.store import Artifact
from transfuse.types import Arm, Flag, Task

REVISION = 1
AGAINST = ("ensemble", "copies", "random", "scratch")
CHOSEN = ("best_fusion", "economical")


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`evidence.json` without what only the run knows (ledger, set-up), and which arm was recommended."""
    items = table(inputs["items"])
    rows = {role.split("|")[1]: artifact for role, artifact in inputs.items() if role.startswith("rows|")}
    judged, judged_table = _case.judged_items(items, rows)
    places = _case.entries(inputs)
    failed = {entry.name: entry.failure for entry in places.values() if entry.failure}
    sound = {slot: entry for slot, entry in places.items() if entry.failure is None}
    choices = _choices(inputs)
    known = [entry for entry in sound.values() if entry.predictions]
    best = _case.composite("best_single", _by_run(choices, "best_single", rows, params), known)
    chosen = {"best_single": best, **({"best_fusion": sound["best_fusion"]} if "best_fusion" in sound else {})}
    arms: dict[str, Arm] = {}
    tables: dict[str, Table] = {}
    selection: dict[str, float] = {}
    for entry in [*known, *chosen.values()]:
        if entry.name in tables:
            continue
        frozen = all(params["arms"][arm]["train"] in ("frozen", "none") for arm in entry.arms.values())
        arms[entry.name] = _case.arm_record(entry, params["arms"], _case.cost(entry, rows, frozen=frozen))
        tables[entry.name] = _case.judged_table(entry, judged, judged_table, locked=params["protocol"] == "locked")
        selection[entry.name] = entry.selection
    winner = chosen.get("best_fusion", best).name
    task = Task(
        **{**params["task"], "classes": tuple(params["task"]["classes"]), "also": tuple(params["task"]["also"])}
    )
    case = Case(
        task=task,
        items=judged_table,
        arms=tuple(arms.values()),
        tables=tables,
        selection=selection,
        winner=winner,
        best_single=best.name,
        comparisons=tuple(_comparisons(winner, best.name, sound, tables, arms)),
        margin=MarginRule(params["margin"]),
        protocol=params["protocol"],
        flags=_flags(params),
        within_budget=_within(params, inputs, arms),
    )
    judgement = judge(case)
    made = record(judgement, case.arms, {}, {}, [{"what": name, "why": why} for name, why in sorted(failed.items())])
    closed = {
        entry.name: entry.selection for entry in sound.values() if not entry.predictions and entry.name not in tables
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
    return meta, {"judged": judged}


def _choices(inputs: Mapping[str, Artifact]) -> list[dict[str, Any]]:
    found = []
    for role, artifact in inputs.items():
        if role.startswith("choice|"):
            _, choice, scope = role.split("|")
            found.append(
                {"choice": choice, "run": scope or "all", **{key: artifact.meta[key] for key in ("chosen", "scores")}}
            )
    return found


def _by_run(
    choices: list[dict[str, Any]], name: str, rows: Mapping[str, Artifact], params: Mapping[str, Any]
) -> dict[str, str]:
    found = {choice["run"]: choice["chosen"] for choice in choices if choice["choice"] == name}
    return {run: found[run] if run in found else found["all"] for run in rows}


def _comparisons(
    winner: str, best: str, sound: Mapping[str, _case.Entry], tables: Mapping[str, Table], arms: Mapping[str, Arm]
) -> list[tuple[str, str]]:
    """The winner against the best single and every rung that isolates something; other judged candidates likewise."""
    rungs = [best, *(entry.name for slot, entry in sound.items() if slot.split("/")[0] in AGAINST)]
    others = [name for name, arm in arms.items() if arm.role == "candidate" and name in sound and name not in CHOSEN]
    pairs = [(winner, rung) for rung in rungs] + [(name, rung) for name in others for rung in rungs[:2]]
    return list(dict.fromkeys((arm, rung) for arm, rung in pairs if arm != rung and rung in tables))


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


def _within(
    params: Mapping[str, Any], inputs: Mapping[str, Artifact], arms: Mapping[str, Arm]
) -> frozenset[str] | None:
    """The arms whose measured median latency at batch 1 keeps the recipe's limit; None where there is no limit."""
    if params["latency"] is None:
        return None
    found = inputs["measure"].meta["arms"]
    limit_ms = 1000 * params["latency"]
    return frozenset(name for name in arms if name in found and found[name]["latency_p50_ms"] <= limit_ms)
