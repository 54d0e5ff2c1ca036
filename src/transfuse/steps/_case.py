"""From a plan's artifacts to the case that the evaluation judges: tables by arm, on the same rows for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from transfuse.data.items import Items
from transfuse.evaluation import temperature
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.tables import Table, table
from transfuse.kinds import kind_of
from transfuse.steps import _idle, _sizes, _spent
from transfuse.steps._fitted import task_of
from transfuse.store import Artifact
from transfuse.types import Arm, Cost, ItemTable, Predictions

OUT_OF_FOLD = "oof"
Described = Mapping[str, Mapping[str, Any]]


@dataclass
class Entry:
    """What stands at one place of the evaluation, run by run: the arm put there, its fit and its predictions.

    Arms go by their identity: the name, and after `@` what tells an arm from others of that name.
    """

    slot: str
    arms: dict[str, str] = field(default_factory=dict)
    fits: dict[str, Artifact] = field(default_factory=dict)
    predictions: dict[str, Artifact] = field(default_factory=dict)
    counts: dict[str, Artifact] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The arm's name where all runs have the same arm there, else the place's."""
        names = {shown(arm) for arm in self.arms.values()}
        return names.pop() if len(names) == 1 else self.slot

    @property
    def failure(self) -> str | None:
        """Why it cannot be judged, if it cannot."""
        artifacts = [*self.fits.values(), *self.predictions.values()]
        reasons = [artifact.meta["failed"] for artifact in artifacts if "failed" in artifact.meta]
        return reasons[0] if reasons else None

    def selection(self, metric: str, targets: np.ndarray) -> float:
        """Mean over the runs of a metric on the selection rows."""
        return float(np.mean([selected(fit, metric, targets) for fit in self.fits.values()]))


def shown(arm: str) -> str:
    """An arm's name from its identity."""
    return arm.split("@", 1)[0]


def selected(fit: Artifact, metric: str, targets: np.ndarray) -> float:
    """A metric of one fitted arm on its selection rows, after its own temperature; `targets` are those of all rows."""
    kind = task_of(fit)
    if metric == kind_of(kind).metric:
        return float(fit.meta["selection"])
    probabilities = temperature.apply(fit["held"], fit.meta["scale"], fit.meta["temperature"], kind)
    return float(find_metric(metric).values(targets[fit["held_rows"]], probabilities[None])[0])


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


def judged_table(entry: Entry, items: ItemTable, repeats: Mapping[str, int] | None) -> Table:
    """Calibrated probabilities: [k, N, C] for k seeds, or for k repeats of cross-fitting put together from their folds.

    `repeats` says which repeat each fold belongs to; None is the locked protocol.
    """
    found = {run: _log_scores(artifact) for run, artifact in entry.predictions.items()}
    kind = task_of(next(iter(entry.predictions.values())))
    if repeats is None:
        parts = [[run] for run in found]
    else:
        parts = [[run for run in repeats if repeats[run] == repeat] for repeat in sorted(set(repeats.values()))]
    orders = [np.argsort(np.concatenate([found[run][0] for run in runs])) for runs in parts]

    def together(columns: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.stack(
            [np.concatenate([columns[run] for run in runs])[order] for runs, order in zip(parts, orders, strict=True)]
        )

    scores = together({run: found[run][1] for run in found})
    heats = together({run: np.full(len(rows), heat) for run, (rows, _, heat) in found.items()})
    if repeats is None:
        names = tuple(found)
        heats = heats[:, 0]
    else:
        names = (OUT_OF_FOLD,) if len(parts) == 1 else tuple(f"r{repeat}" for repeat in range(len(parts)))
    made = table(Predictions(entry.name, names, scores, kind_of(kind).scale), items, heats, kind)
    if repeats is not None:
        number = {run: place for runs in parts for place, run in enumerate(runs)}
        folds = together({run: np.full(len(rows), number[run]) for run, (rows, _, _) in found.items()})
        made = replace(made, folds=folds)
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


def cost(entry: Entry, rows: Mapping[str, Artifact], places: Sequence[Entry], described: Described) -> Cost:
    """Counted cost: per item of the dearest arm put there, and the mean training of its runs.

    Of an arm that stops early the mean and the 95th percentile over the judged rows are counted. Training counts every
    trial and inner fold; where members are frozen, their features of each row once. A pool was trained as its members
    were, and a student after its teachers, who also answered the unlabelled rows that it heard them about.
    """
    known = {(run, arm): place for place in (*places, entry) for run, arm in place.arms.items()}

    def trained(run: str, arm: str) -> float:
        if described[arm]["kind"] == "pool":
            return sum(trained(run, member) for member in described[arm]["members"])
        place = known[run, arm]
        if "of" in described[arm]:
            return trained(run, described[arm]["of"]) + _spent.warm(place.fits[run], place.counts[arm])
        taught = sum(
            trained(run, teacher) + place.fits[run].meta.get("stream_rows", 0) * answered(run, teacher)
            for teacher in described[arm].get("teachers", ())
        )
        return taught + _spent.cold(place.fits[run], place.counts[arm], rows[run].arrays)

    def answered(run: str, arm: str) -> float:
        return _spent.inference(known[run, arm].fits[run], known[run, arm].counts[arm])

    metas = [artifact.meta for artifact in entry.counts.values()]
    spent = {arm: _answers(entry, arm) for arm in set(entry.arms.values())}
    early = any("used" in artifact.arrays for artifact in entry.predictions.values())
    return Cost(
        parameters=max(meta["parameters"] for meta in metas),
        trainable_parameters=max(meta["trainable_parameters"] for meta in metas),
        inference_flops=float(max(each.mean() for each in spent.values())),
        p95_flops=float(max(np.percentile(each, 95) for each in spent.values())) if early else None,
        train_flops=float(np.mean([trained(run, arm) for run, arm in entry.arms.items()])),
        stored_bytes=max((meta["stored_bytes"] for meta in metas if "stored_bytes" in meta), default=None),
    )


def _answers(entry: Entry, arm: str) -> np.ndarray:
    """FLOPs of each answer that one arm gave at this place, over its runs."""
    given = [entry.predictions[run].arrays.get("used") for run, known in entry.arms.items() if known == arm]
    return np.concatenate([_spent.answers(entry.counts[arm], used) for used in given])


def arm_record(entry: Entry, described: Described, found: Cost, most_trials: int) -> Arm:
    """The arm as the evidence names it; a place that differs between runs lists the arms put there as members, and one
    name that stands for different networks all of their members."""
    identities = sorted(set(entry.arms.values()))
    names = sorted({shown(identity) for identity in identities})
    facts = described[identities[0]]
    members = tuple(dict.fromkeys(member for identity in identities for member in described[identity]["members"]))
    told = [note for fit in entry.fits.values() for note in notes(fit, most_trials)]
    return Arm(
        name=entry.name,
        role=facts["role"],
        members=tuple(names) if len(names) > 1 else members,
        method="chosen in each fold" if len(identities) > 1 else facts["method"],
        train=facts["train"] if len(identities) == 1 else "as chosen",
        form=facts["form"],
        cost=found,
        seeds=len(entry.fits),
        notes=tuple(dict.fromkeys([*told, *_idle.notes([fit.meta for fit in entry.fits.values()])])),
    )


def notes(fit: Artifact, most_trials: int) -> list[str]:
    """How this training differed from the others': fewer trials, more epochs, a larger head."""
    trials, told = fit.meta.get("trials"), fit.meta.get("match", {})
    found = [*_merging_notes(fit.meta.get("merge", {})), *_sizes.notes(fit.meta)]
    if trials is not None and trials < most_trials:
        found.append(f"its learning rate was chosen from {trials}, that of other arms from up to {most_trials}")
    if values := fit.meta.get("values"):
        told_of = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        found.append(f"its settings were searched for in {trials} trials on the selection rows: {told_of}")
    if told.get("rule") == "flops":
        stretch = told["epochs"] / told["own_epochs"]
        found.append(
            f"trained for {told['epochs']:,} epochs, {stretch:.3g} times its own schedule, to spend"
            f" {told['budget_flops']:.3g} FLOPs"
        )
        if told["capped"]:
            found.append("more epochs than that are not run, so it spends less than the fusion")
        if told["dearer"]:
            found.append("its own schedule already spends more than the fusion")
    if told.get("rule") == "parameters":
        found.append(f"its head has one hidden layer of {told['hidden']:,}, {told['head_parameters']:,} parameters")
    return found


def _merging_notes(told: Mapping[str, Any]) -> list[str]:
    """What stands behind a merge of weights: where its members come from, and what was done to them."""
    if not told:
        return []
    found = [f"merged by {told['method']}; lineage: {told['verdict']} ({told['why']})"]
    if told.get("align"):
        moved = [f"{name} {100 * share:.0f} %" for name, share in told["moved"].items()]
        moved = ["blocks moved: " + ", ".join(moved)] if moved else []
        moved += [
            f"{name} was brought to other widths, its answers are off by {gap:.3g} of the largest"
            for name, gap in told.get("gaps", {}).items()
        ]
        found.append(", ".join([f"aligned by {told['align']}", *moved]))
    if told.get("chosen_by"):
        values = ", ".join(f"{name} {value:.3g}" for name, value in told["weights"].items())
        found.append(
            f"weights {values}, chosen by {told['chosen_by']} from {told['tried']} merges on the selection rows"
        )
    if told.get("learned_by"):
        values = ", ".join(f"{name} {value:.3g}" for name, value in told["weights"].items())
        found.append(
            f"weights {values}, learned by {told['learned_by']} from unlabelled training rows: mean entropy from"
            f" {told['losses'][0]:.4f} to {told['losses'][-1]:.4f} nats in {len(told['losses'])} passes"
        )
    if "path" in told:
        found.append(_way(told["path"]))
    if told.get("norms") or told.get("repaired"):
        layers = f" and {told['repaired']} layers repaired" if told.get("repaired") else ""
        found.append(f"statistics of {told['norms']} norms estimated anew on {told['rows']} training rows{layers}")
    return found


def _way(told: Mapping[str, Any]) -> str:
    """Both barriers of the loss, by view, in a sentence."""
    barriers = told["barriers"]
    views = ", ".join(
        f"{view} {barriers[f'{view}: loss, Entezari']:+.3f} ({barriers[f'{view}: loss, Frankle']:+.3f})"
        for view in told["loss"]
    )
    return (
        f"on the straight way from {' to '.join(told['ends'])} ({len(told['shares'])} points, {told['rows']} selection"
        f" rows) log-loss rises above the line between its ends (above their mean) by {views}"
    )


def _log_scores(artifact: Artifact) -> tuple[np.ndarray, np.ndarray, float]:
    """Rows, scores as logits whatever the arm gives (numbers as they are), and the run's own temperature."""
    meta = artifact.meta
    scores = temperature.as_logits(artifact["scores"], meta["scale"], task_of(artifact))
    return artifact["rows"], scores, meta["temperature"]
