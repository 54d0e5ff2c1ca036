"""One run from a recipe to its folder: plan, compute, judge, deliver; and the same again at no cost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from transfuse.data.open import open_data, settings
from transfuse.errors import UserError
from transfuse.events import Journal, Listener
from transfuse.folder import Folder
from transfuse.jsonio import digest, file_digest, pretty
from transfuse.plan.arms import ArmSpec
from transfuse.plan.ladder import Ladder
from transfuse.plan.recipe import Recipe
from transfuse.run import deliver
from transfuse.run.clocks import seconds_to_target
from transfuse.run.engine import Engine, OutOfTimeError, Walk
from transfuse.run.forecast import expected, probe
from transfuse.run.predictions import write_predictions
from transfuse.run.prepare import Prepared, prepare
from transfuse.run.searched import search_of, searched, wanted
from transfuse.run.shipped import deliver_model
from transfuse.run.tracking import named, tell
from transfuse.run.worker import Place
from transfuse.store import LostArtifactError, Store, exclusive, named_store, remove_halves, write_text
from transfuse.threads import cores

# So many damaged store entries are repaired in one run; more than that is a broken disk.
LARGEST_LOSS = 50
# Each takes the memory of a step: more are had by asking for them.
MOST_WORKERS = 4


@dataclass(frozen=True)
class Request:
    """What a door asks for: a recipe, the folder its paths start from, where to put results, who listens, and who is
    told of the run once it has ended (`NAME` or `NAME:ADDRESS` of a tracker)."""

    recipe: Recipe
    root: Path
    out: Path
    modules: Mapping[str, Any] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()
    workers: int | None = None
    engine: str = "local"
    track: str | None = None


@dataclass(frozen=True)
class Outcome:
    """Where the results are, and what it took."""

    folder: Folder
    evidence: Mapping[str, Any]
    executed: int
    reused: int
    cpu_seconds: float


def run(request: Request) -> Outcome:
    """Carry out a recipe; a second run at the same time in the same folder is refused.

    A store entry found damaged on the way is made again: the walk starts over and reuses everything else.
    """
    if request.track is not None:
        named(request.track)
    folder = Folder(request.out)
    with exclusive(folder.path, "the run folder"):
        remove_halves(folder.path, *folder.models)
        for _ in range(LARGEST_LOSS):
            try:
                return _run(request, folder)
            except LostArtifactError as error:
                Journal(folder.journal).emit("artifact_lost", why=str(error))
        return _run(request, folder)


def store_of(recipe: Recipe, root: Path) -> Store:
    """The store a recipe names, else the user's."""
    store = named_store(recipe.run.store, root)
    try:
        store.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            "the store cannot be written", where=str(store.root), got=str(error), hint="set TRANSFUSE_STORE"
        ) from error
    store.sweep()
    return store


def _run(request: Request, folder: Folder) -> Outcome:
    began = time.process_time()
    store = store_of(request.recipe, request.root)
    tally = Tally()
    journal = Journal(folder.journal, listeners=[*request.listeners, tally])
    journal.emit("run_started", out=folder.path.name)
    prepared = prepare(request.recipe, root=request.root, store=store, modules=request.modules, emit=journal.emit)
    if wanted(prepared):
        prepared = _search(request, prepared, store, journal)
    found = _computed(request, prepared, store, journal)
    ship, measure = (found.walk.done[name] for name in ("ship", "measure"))
    ordinal = store.open_test(prepared.fingerprint, found.prepared.plan.key)
    evaluation = store.need(found.walk.done["evaluate"])
    evidence = deliver.evidence_of(evaluation, found.prepared, ordinal, found.skipped, store.need(ship).meta)
    state = {"evidence": digest(evidence), "ship": ship, "measure": measure}
    cpu_seconds = time.process_time() - began + tally.elsewhere
    if not _unchanged(folder, state):
        fits = {role: store.need(key) for role, key in found.walk.inputs("evaluate").items() if role.startswith("fit|")}
        timed = seconds_to_target(evidence, fits)
        measured = deliver.measurements_of(store.need(measure), cpu_seconds, timed)
        deliver.keep_history(folder, evidence)
        write_predictions(folder, found.walk, prepared, evaluation)
        deliver_model(prepared, store, ship, folder, evidence, request.modules, request.root)
        deliver.write_records(folder, prepared, evidence, measured)
        deliver.write_reports(folder, evidence, measured, _pictures(prepared, evidence, journal))
        files = {name: file_digest(folder.path / name) for name in deliver.delivered(folder)}
        write_text(folder.state, pretty(state | {"files": files}))
        cpu_seconds = time.process_time() - began + tally.elsewhere
    reused = len(found.walk.done) - len(tally.steps & set(found.walk.done))
    if request.track is not None:
        tell(request.track, folder.path, evidence, journal.emit)
    journal.emit("run_done", executed=len(tally.steps), reused=reused, cpu_seconds=round(cpu_seconds, 2))
    return Outcome(folder, evidence, len(tally.steps), reused, cpu_seconds)


def _pictures(prepared: Prepared, evidence: Mapping[str, Any], journal: Journal) -> dict[str, str]:
    """Small pictures of judged items; none where the files have gone since they were read."""
    try:
        data = open_data(settings(prepared.recipe.data).read, prepared.root, prepared.items)
        return deliver.pictures_of(evidence, data.items, data.raw)
    except (UserError, OSError) as error:
        journal.emit("no_pictures", why=str(error))
        return {}


@dataclass
class Tally:
    """Counts the steps of a run, and the CPU seconds spent in other processes."""

    steps: set[str] = field(default_factory=set)
    elsewhere: float = 0.0

    def __call__(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "step_done":
            self.steps.add(event["step"])
            self.elsewhere += event.get("worker_seconds", 0.0)


def _unchanged(folder: Folder, state: Mapping[str, Any]) -> bool:
    """Whether the folder already holds exactly these results, file by file."""
    old = deliver.read_state(folder)
    files = old.pop("files", {})
    there = bool(files) and all(
        (folder.path / name).is_file() and file_digest(folder.path / name) == kept for name, kept in files.items()
    )
    return there and old == dict(state)


@dataclass(frozen=True)
class Computed:
    """A walk whose targets are done, the plan it was of, and what was left out for want of time."""

    walk: Walk
    prepared: Prepared
    skipped: list[dict[str, str]]


def _search(request: Request, prepared: Prepared, store: Store, journal: Journal) -> Prepared:
    """The run with the candidates that its search found."""
    place = place_of(prepared, store, journal)

    def compute(walk: Walk) -> None:
        Engine(walk, place, journal, workers_of(request), request.modules, kind=request.engine).run(walk.plan.targets)

    plan = search_of(prepared, lambda: probe(prepared, place, journal.emit, request.modules).keys)
    found = searched(prepared, plan, store, compute)
    return prepared if found is None else found


def workers_of(request: Request) -> int | None:
    """How many steps at once, of a run as of a choice: as asked for, else as the recipe says; None where neither gives
    a number and the engine is a cluster, which knows its size."""
    asked = request.workers or request.recipe.run.workers
    if isinstance(asked, int):
        return asked
    if request.engine != "local":
        return None
    return 1 if asked is None else min(MOST_WORKERS, cores())


def _computed(request: Request, prepared: Prepared, store: Store, journal: Journal) -> Computed:
    """All targets computed; when time runs out, those of the arms that are done."""
    walk = Walk(prepared.plan, store)
    if walk.ready(prepared.plan.targets) is None:
        return Computed(walk, prepared, [])
    limit = request.recipe.budget.train
    deadline = None if limit is None else time.monotonic() + limit
    place = place_of(prepared, store, journal)
    forecast = probe(prepared, place, journal.emit, request.modules)
    journal.emit("forecast", steps=expected(prepared.plan, forecast.seconds, walk.done))
    workers = workers_of(request)

    def engine(these: Walk, until: float | None) -> Engine:
        def open_test() -> None:
            store.open_test(prepared.fingerprint, these.plan.key)

        return Engine(
            these, place, journal, workers, request.modules, forecast.seconds, until, open_test, request.engine
        )

    try:
        engine(walk, deadline).run(prepared.plan.targets)
        return Computed(walk, prepared, [])
    except OutOfTimeError:
        arms, dropped = finished_arms(prepared, walk)
        journal.emit("out_of_time", dropped=dropped)
        smaller = prepared.restricted(arms)
        walk = Walk(smaller.plan, store)
        engine(walk, None).run(smaller.plan.targets)
        why = f"the training budget of {limit:g} s was used up; running again continues"
        return Computed(walk, smaller, [{"what": name, "why": why} for name in dropped])


def place_of(prepared: Prepared, store: Store, journal: Journal | None = None) -> Place:
    """Where this recipe's steps run."""
    run = prepared.recipe.run
    data = settings(prepared.recipe.data).read
    written = journal.path if journal else None
    return Place(store, prepared.root, data, run.device, run.threads, written, prepared.surroundings.reads)


def finished_arms(prepared: Prepared, walk: Walk) -> tuple[Ladder, list[str]]:
    """The ladder of arms fitted in every run, and the names of those that are not; at least one single stays."""
    arms = prepared.ladder
    runs = [run.name for run in prepared.setting.runs]

    def fitted(name: str) -> bool:
        return all(f"fit {name} {run}" in walk.done for run in runs)

    singles = tuple(arm for arm in arms.singles if fitted(arm.name)) or arms.singles[:1]
    names = {arm.name for arm in singles}

    known = arms.arms()

    def stays(arm: ArmSpec) -> bool:
        if arm.kind == "pool":
            return all(name in names or (name in known and stays(known[name])) for name in arm.members)
        return arm.kind == "prior" or fitted(arm.name)

    kept = replace(
        arms,
        singles=singles,
        fixed=tuple(arm for arm in arms.fixed if stays(arm)),
        candidates=tuple(arm for arm in arms.candidates if stays(arm)),
        tuned_singles={key: arm for key, arm in arms.tuned_singles.items() if fitted(arm.name)},
        tuned_fusions={key: arm for key, arm in arms.tuned_fusions.items() if fitted(arm.name)},
        followers=(), curves=False, proposes=False, exposed=False,
    )  # fmt: skip
    before = {*arms.arms(), *(arm.name for arm in (*arms.tuned_singles.values(), *arms.tuned_fusions.values()))}
    after = {*kept.arms(), *(arm.name for arm in (*kept.tuned_singles.values(), *kept.tuned_fusions.values()))}
    beyond = [exposure.name for exposure in prepared.setting.exposures]
    retained = ["retention"] if any(step.kind == "retain" for step in prepared.plan.steps.values()) else []
    return kept, [*sorted(before - after), *(follower.name for follower in arms.followers), *beyond, *retained]
