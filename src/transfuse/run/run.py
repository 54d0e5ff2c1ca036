"""One run from a recipe to its folder: plan, compute, judge, deliver; and the same again at no cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from transfuse.errors import UserError
from transfuse.events import Journal
from transfuse.jsonio import digest, file_digest, pretty
from transfuse.plan.ladder import Ladder
from transfuse.plan.recipe import Recipe
from transfuse.run import deliver
from transfuse.run.deliver import Folder
from transfuse.run.engine import Engine, OutOfTimeError
from transfuse.run.forecast import Forecast, expected, probe
from transfuse.run.prepare import Prepared, prepare
from transfuse.run.worker import Place
from transfuse.store import Store, default_root, exclusive, write_text

Listener = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Request:
    """What a door asks for: a recipe, the folder its paths start from, where to put results, and who listens."""

    recipe: Recipe
    root: Path
    out: Path
    modules: Mapping[str, Any] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()
    workers: int | None = None


@dataclass(frozen=True)
class Outcome:
    """Where the results are, and what it took."""

    folder: Folder
    evidence: Mapping[str, Any]
    executed: int
    reused: int
    cpu_seconds: float


def run(request: Request) -> Outcome:
    """Carry out a recipe; a second run at the same time in the same folder is refused."""
    folder = Folder(request.out)
    with exclusive(folder.path, "the run folder"):
        return _run(request, folder)


def store_of(recipe: Recipe, root: Path) -> Store:
    """The store a recipe names, else the user's."""
    named = recipe.run.store
    store = Store(default_root() if named == "default" else root / named)
    try:
        store.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("the store cannot be written", where=str(store.root), got=str(error), hint="set TRANSFUSE_STORE") from error
    store.sweep()
    return store


def _run(request: Request, folder: Folder) -> Outcome:
    began = time.process_time()
    store = store_of(request.recipe, request.root)
    journal = Journal(folder.journal, listeners=list(request.listeners))  # pyright: ignore[reportArgumentType]
    counted: list[str] = []
    spent: list[float] = []

    def note(event: Mapping[str, Any]) -> None:
        if event["event"] == "step_done":
            counted.append(event["step"])
            spent.append(event.get("cpu_seconds", 0.0))

    journal.listeners.append(note)
    journal.emit("run_started", out=str(folder.path.name))
    prepared = prepare(request.recipe, root=request.root, store=store, modules=request.modules, emit=journal.emit)
    engine, prepared, skipped, timed = _computed(request, prepared, store, journal, folder)
    evaluate, ship, measure = (engine.done.get(name, "") for name in ("evaluate", "ship", "measure"))
    ordinal = store.open_test(prepared.fingerprint, prepared.plan.key)
    evaluation = store.get(evaluate)
    if evaluation is None:
        raise UserError("the store lost the evaluation", hint="run again")
    evidence = deliver.evidence_of(evaluation, prepared, ordinal, skipped, timed=timed)
    measured = deliver.measurements_of(store.get(measure), sum(spent))
    state = {"evidence": digest(evidence), "ship": ship, "measure": measure, "version": prepared.plan.key}
    if not _unchanged(folder, state):
        deliver.keep_history(folder, evidence)
        deliver.write_predictions(folder, engine, prepared, "evaluate")
        _deliver_model(request, prepared, store, ship, folder)
        deliver.write_records(folder, prepared, evidence, measured)
        deliver.write_reports(folder, evidence, measured)
        files = {name: file_digest(folder.path / name) for name in ("evidence.json", "report.html", "report.md")}
        write_text(folder.state, pretty(state | {"files": files}))
    journal.emit("run_done", executed=len(counted), reused=len(engine.reused), cpu_seconds=round(sum(spent), 2))
    return Outcome(folder, evidence, len(counted), len(engine.reused), time.process_time() - began + sum(spent))


def _unchanged(folder: Folder, state: Mapping[str, Any]) -> bool:
    """Whether the folder already holds exactly these results, file by file."""
    old = deliver.read_state(folder)
    files = old.pop("files", {})
    there = bool(files) and all((folder.path / name).is_file() and file_digest(folder.path / name) == kept for name, kept in files.items())
    return there and old == dict(state)


def _computed(
    request: Request, prepared: Prepared, store: Store, journal: Journal, folder: Folder
) -> tuple[Engine, Prepared, list[dict[str, str]], bool]:
    """All targets computed; when time runs out, those of the arms that are done."""
    recipe = request.recipe
    run = recipe.run
    local = not isinstance(recipe.data, str | dict) or bool(request.modules)
    data = recipe.data if local else _read(recipe.data)
    place = Place(store.root, request.root, data, run.device, run.threads, folder.journal)
    limit = recipe.budget.train

    def open_test() -> None:
        store.open_test(prepared.fingerprint, prepared.plan.key)

    def engine_for(plan: Prepared, forecast: Forecast | None, deadline: float | None) -> Engine:
        cost = forecast.seconds if forecast else (lambda step: 0.0)
        workers = request.workers or (run.workers if isinstance(run.workers, int) else _auto_workers())
        return Engine(
            plan.plan, store, place, journal, workers, request.modules, cost, deadline, open_test
        )

    engine = engine_for(prepared, None, None)
    if not _pending(engine):
        return engine, prepared, [], False
    deadline = None if limit is None else time.monotonic() + limit
    forecast = probe(prepared, place, journal.emit, request.modules)
    engine = engine_for(prepared, forecast, deadline)
    journal.emit("forecast", steps=expected(prepared.plan, forecast.seconds))
    try:
        engine.run(prepared.plan.targets)
        return engine, prepared, [], False
    except OutOfTimeError:
        kept, dropped = finished_arms(prepared, engine)
        journal.emit("out_of_time", dropped=[name for name in dropped])
        smaller = prepared.restricted(kept)
        engine = engine_for(smaller, forecast, None)
        engine.run(smaller.plan.targets)
        why = f"the training budget of {limit:g} s was used up; running again continues"
        return engine, smaller, [{"what": name, "why": why} for name in dropped], True


def _read(data: Any) -> Any:
    from transfuse.data.open import settings

    return settings(data).read


def _pending(engine: Engine) -> bool:
    """Whether any step must run; looks at keys only."""
    return not all([engine._visit(target, {}) is not None for target in engine.plan.targets])


def _auto_workers() -> int:
    import os

    return max(1, min(4, os.cpu_count() or 1))


def finished_arms(prepared: Prepared, engine: Engine) -> tuple[Ladder, list[str]]:
    """The ladder of arms that are fitted in every run, and the names of those that are not; at least one single stays."""
    arms = prepared.ladder
    runs = [run.name for run in prepared.setting.runs]

    def fitted(name: str) -> bool:
        return all(f"fit {name} {run}" in engine.done for run in runs)

    singles = tuple(arm for arm in arms.singles if fitted(arm.name)) or arms.singles[:1]
    names = {arm.name for arm in singles}
    pools = {arm.name for arm in arms.fixed if arm.kind != "pool" or set(arm.members) <= names}
    kept = replace(
        arms,
        singles=singles,
        fixed=tuple(arm for arm in arms.fixed if arm.name in pools and (arm.kind in ("prior", "pool") or fitted(arm.name))),
        candidates=tuple(arm for arm in arms.candidates if fitted(arm.name) or (arm.kind == "pool" and set(arm.members) <= names)),
        tuned_singles={key: arm for key, arm in arms.tuned_singles.items() if fitted(arm.name)},
        tuned_fusions={key: arm for key, arm in arms.tuned_fusions.items() if fitted(arm.name)},
        copies={}, randoms={}, scratch={},
    )  # fmt: skip
    before = {*arms.arms(), *(arm.name for arm in (*arms.tuned_singles.values(), *arms.tuned_fusions.values()))}
    after = {*kept.arms(), *(arm.name for arm in (*kept.tuned_singles.values(), *kept.tuned_fusions.values()))}
    controls = ["copies", "random/…"] if arms.copies or arms.randoms else []
    return kept, sorted(before - after) + controls


def _deliver_model(request: Request, prepared: Prepared, store: Store, ship: str, folder: Folder) -> None:
    """`models/ARM/`: the recommended model with its temperature."""
    picked = deliver.model_of(store, ship)
    if "fit" not in picked:
        return
    from transfuse.fuse.saved import save
    from transfuse.steps._context import Context
    from transfuse.steps._model import artifact_of, opened

    context = Context(store, request.root, modules=request.modules, device="cpu")
    model = opened(picked["fit"], context, picked["arm"])
    model.temperature = artifact_of(store, picked["fit"]).meta["temperature"]
    facts = {"canvas": prepared.setting.canvas, "classes": list(prepared.items.classes), "arm": picked["arm"], "run": picked["run"]}
    save(model, folder.path / "models" / picked["arm"].replace("/", ".").replace(":", "."), facts=facts)
