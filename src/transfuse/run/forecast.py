"""What a plan will cost: each step's CPU seconds from a probe of every source on this machine.

Crowns that work on maps or inside the sources are counted beforehand, and take their FLOPs at the sources' pace. The
choices are not known yet, so of steps that follow one the dearest option is counted. Forecasts order the work, move the
progress bar and answer `transfuse plan`; no result depends on them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from transfuse.errors import UserError
from transfuse.jsonio import digest
from transfuse.plan.graph import Given, Plan, Step, step_key
from transfuse.plan.make import machine
from transfuse.registry import find
from transfuse.run.engine import Walk
from transfuse.run.prepare import Prepared
from transfuse.run.worker import Job, Place, carry_out

CROWN_STEP_SECONDS = 0.0009
# Where no source was counted; one core of a common machine.
FLOPS_PER_MS = 1e7
# What each further process of a training over several ranks takes to start.
RANK_SECONDS = 3.3
START_SECONDS = {
    "train": 0.3, "extract": 0.3, "predict": 0.15, "retain": 0.3, "count": 0.4, "measure": 12.0, "evaluate": 1.5,
    "compress": 0.4, "retrain": 0.3,
}  # fmt: skip


@dataclass(frozen=True)
class Forecast:
    """CPU milliseconds per item of each source, and what steps cost by it; `crown_ms` by the step that counted it,
    forward, and forward with backward."""

    forward_ms: Mapping[str, float]
    backward_ms: Mapping[str, float]
    keys: Mapping[str, str] = field(default_factory=dict)
    crown_ms: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def seconds(self, step: Step) -> float:
        """CPU seconds of one step."""
        work = step.work
        forward, backward = self.crown_ms.get(work.counted) or (
            sum(self.forward_ms.get(name, 0.0) for name in work.members),
            sum(self.backward_ms.get(name, 0.0) for name in work.members),
        )
        items = work.forward * forward + work.backward * backward
        others = int(step.params.get("ranks", 1)) - 1 if step.kind == "train" else 0
        start = START_SECONDS.get(step.kind, 0.01) + others * RANK_SECONDS
        return start + items / 1000 + work.crown * CROWN_STEP_SECONDS + work.seconds


def probe(prepared: Prepared, place: Place, emit: Callable[..., None], modules: Mapping[str, object]) -> Forecast:
    """Time every source once per machine, canvas and thread count; later plans read the result from the store."""
    store = place.store
    tunes = any(step.work.backward for step in prepared.plan.steps.values())
    forward, backward, keys = {}, {}, {}
    run = prepared.recipe.run
    for name in prepared.cards:
        params = {"canvas": prepared.setting.canvas, "threads": run.threads, "backward": tunes, "fresh": False}
        card = prepared.setting.card_keys[name]
        key = digest(["probe", find("steps", "probe").revision, machine(), params, card])
        found, keys[name] = store.get(key), key
        if found is None:
            carry_out(Job(f"probe {name}", "probe", key, params, {"card0": card}), place, emit, modules)  # pyright: ignore[reportArgumentType]
            found = store.get(key)
        forward[name] = found.meta["forward_ms"] if found else 0.0
        backward[name] = found.meta["backward_ms"] if found else 0.0
    return Forecast(forward, backward, keys, _crowns(prepared.plan, forward, place, emit, modules))


def _crowns(
    plan: Plan, forward_ms: Mapping[str, float], place: Place, emit: Callable[..., None], modules: Mapping[str, object]
) -> dict[str, tuple[float, float]]:
    """CPU milliseconds an item takes through each crown that is counted: its FLOPs at the sources' own pace.

    These steps belong to the plan and are not computed again. What cannot be counted yet (it follows a choice), or at
    all (the run says why), is forecast as overhead.
    """
    walk = Walk(plan, place.store)
    wanted = {step.work.counted for step in plan.steps.values()} & set(plan.steps)
    if not wanted:
        return {}
    alone = {f"count frozen/{name}": milliseconds for name, milliseconds in forward_ms.items()}
    targets = sorted(wanted | (set(alone) & set(plan.steps)))
    for name, job in (walk.ready(targets) or {}).items():
        if name in targets:
            with contextlib.suppress(UserError):
                carry_out(job, place, emit, dict(modules))
                walk.finished(job)
    walk.ready(targets)
    found = {name: walk.store.need(walk.done[name]).meta for name in targets if name in walk.done}
    found = {name: meta for name, meta in found.items() if "failed" not in meta}
    flops = sum(found[name]["member_flops"] for name in alone if name in found)
    pace = flops / sum(alone[name] for name in alone if name in found) if flops else FLOPS_PER_MS
    return {
        name: ((meta["inference_flops"] - meta["member_flops"]) / pace, meta["step_flops"] / pace)
        for name, meta in found.items()
        if name in wanted
    }


def expected(plan: Plan, cost: Callable[[Step], float], done: Iterable[str] = ()) -> dict[str, float]:
    """CPU seconds by step for all that a plan will run; of a choice's options the dearest, of equal steps one."""
    finished = set(done)
    dearest = _dearest(plan, cost)
    wanted: dict[str, float] = {}
    pending = list(plan.targets)
    while pending:
        name = pending.pop()
        if name in wanted or name in finished:
            continue
        step = plan.steps[name]
        wanted[name] = cost(step)
        pending += [ref for ref in step.inputs.values() if not isinstance(ref, Given)]
        for select in step.selects:
            pending += [select.choice, *select.options.get(dearest[select.choice], {}).values()]
    return {name: wanted[name] for name in _once(plan, wanted, finished)}


def _once(plan: Plan, names: Iterable[str], finished: Iterable[str]) -> list[str]:
    """Of steps that compute the same under several names the one that will run, none where one is finished.

    What two students would be untaught is one training, say.
    """
    keys: dict[str, str] = {}

    def key_of(name: str) -> str:
        if name not in keys:
            step = plan.steps[name]
            keys[name] = name if step.selects else step_key(step, step.inputs, key_of)
        return keys[name]

    known = {key_of(name) for name in finished if name in plan.steps}
    first: dict[str, str] = {}
    for name in sorted(names):
        first.setdefault(key_of(name), name)
    return [name for key, name in first.items() if key not in known]


def _dearest(plan: Plan, cost: Callable[[Step], float]) -> dict[str, str]:
    """For each choice, the option whose followers cost most together."""
    totals: dict[str, dict[str, float]] = {}
    for step in plan.steps.values():
        for select in step.selects:
            for option, roles in select.options.items():
                added = sum(cost(plan.steps[name]) for name in set(roles.values()))
                known = totals.setdefault(select.choice, {})
                known[option] = known.get(option, 0.0) + added
    return {choice: max(sorted(options), key=lambda option: options[option]) for choice, options in totals.items()}
