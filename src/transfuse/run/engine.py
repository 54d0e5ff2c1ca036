"""The engine: walks from the wanted results back to what is ready, runs that, and walks again.

Only what a wanted result needs is ever computed; what follows a choice is not known before the choice is made. A result
that the store has lost or damaged ends the walk; the next one finds it missing and makes it anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from transfuse.errors import UserError
from transfuse.events import Journal
from transfuse.plan.graph import Given, Plan, Step, resolved, step_key
from transfuse.registry import find
from transfuse.run.engines import SHELF, EngineFile, Pool
from transfuse.run.worker import Done, Job, Place, carry_out
from transfuse.store import LostArtifactError, Store

POLL_SECONDS = 0.2
Cost = Callable[[Step], float]


class OutOfTimeError(Exception):
    """The budget for training is used up."""


@dataclass
class Walk:
    """Which steps of a plan have their results in the store, found from the wanted ones backwards."""

    plan: Plan
    store: Store
    done: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)

    def ready(self, targets: Sequence[str]) -> dict[str, Job] | None:
        """The steps that can run now, by name; None when all targets are done."""
        found: dict[str, Job | None] = {}
        keys = [self._visit(target, found) for target in targets]
        return {name: job for name, job in found.items() if job is not None} if None in keys else None

    def inputs(self, name: str) -> dict[str, str]:
        """The keys of a finished step's inputs by role."""
        refs = resolved(self.plan.steps[name], self.chosen)
        return {role: ref.key if isinstance(ref, Given) else self.done[ref] for role, ref in refs.items()}

    def chosen(self, choice: str) -> Any:
        """What a finished choice chose."""
        if choice not in self.values:
            self.values[choice] = self.store.need(self.done[choice]).meta["chosen"]
        return self.values[choice]

    def _visit(self, name: str, found: dict[str, Job | None]) -> str | None:
        """The key of a finished step; else None, and the step is `found` with its job where it can run now."""
        if name in self.done or name in found:
            return self.done.get(name)
        found[name] = None
        if name not in self.jobs:
            job = self._job(name, found)
            if job is None:
                return None
            # What a job is never changes: all it stands on is done.
            self.jobs[name] = job
            if self.found(job):
                return job.key
        found[name] = self.jobs[name]
        return None

    def found(self, job: Job) -> bool:
        """Whether the store has a job's result, which then counts as done. It is asked once for each job, and before a
        job begins: another run may have made it meanwhile."""
        there = self.store.has(job.key)
        if there:
            self.finished(job)
        return there

    def finished(self, job: Job) -> None:
        """A job has been carried out."""
        self.done[job.step] = job.key

    def _job(self, name: str, found: dict[str, Job | None]) -> Job | None:
        step = self.plan.steps[name]
        if None in [self._visit(select.choice, found) for select in step.selects]:
            return None
        inputs = resolved(step, self.chosen)
        keys = {role: ref.key if isinstance(ref, Given) else self._visit(ref, found) for role, ref in inputs.items()}
        if None in keys.values():
            return None
        key = step_key(step, inputs, lambda ref: self.done[ref])
        return Job(name, step.kind, key, step.params, {role: str(kept) for role, kept in keys.items()})


@dataclass
class Engine:
    """Runs the steps of a walk; `workers` says how many at once (None: as the engine has room for), `kind` where.
    Neither changes a result."""

    walk: Walk
    place: Place
    journal: Journal
    workers: int | None = 1
    modules: Mapping[str, Any] = field(default_factory=dict)
    cost: Cost = lambda step: 0.0
    deadline: float | None = None
    on_test: Callable[[], None] = lambda: None
    kind: str = "local"

    def run(self, targets: Sequence[str]) -> None:
        """Compute the targets. Raises OutOfTimeError when the deadline passes before they are done."""
        with self._pool() as pool:
            running: dict[Future[Done], Job] = {}
            while (ready := self.walk.ready(targets)) is not None:
                busy = {job.step for job in running.values()}
                waiting = sorted((job for job in ready.values() if job.step not in busy), key=self._order)
                late = self.deadline is not None and time.monotonic() > self.deadline
                if late and not running:
                    raise OutOfTimeError
                room = 1 if pool is None else pool.workers
                for job in [] if late else waiting[: room - len(running)]:
                    self._start(job, pool, running)
                if pool is not None:
                    self._collect(running)

    def _order(self, job: Job) -> tuple[float, str]:
        return (self.cost(self.walk.plan.steps[job.step]), job.step)

    def _start(self, job: Job, pool: Pool | None, running: dict[Future[Done], Job]) -> None:
        if self.walk.found(job):
            return
        if self.walk.plan.steps[job.step].opens_test:
            self.on_test()
        self.journal.emit("step_started", step=job.step, kind=job.kind, key=job.key)
        if pool is None:
            self._finish(job, carry_out(job, self.place, self.journal.emit, self.modules), pool=False)
        else:
            with self._told(job):
                running[pool.submit(job)] = job

    def _collect(self, running: dict[Future[Done], Job]) -> None:
        finished, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in finished:
            job = running.pop(future)
            with self._told(job):
                self._finish(job, future.result(), pool=True)

    def _finish(self, job: Job, done: Done, *, pool: bool) -> None:
        if done.lost is not None:
            raise LostArtifactError(f"{job.step} misses {done.lost}")
        self.walk.finished(job)
        seconds = round(done.cpu_seconds, 3)
        apart = {"worker_seconds": seconds} if pool else {}
        self.journal.emit("step_done", step=job.step, kind=job.kind, key=job.key, cpu_seconds=seconds, **apart)

    @property
    def _file(self) -> EngineFile:
        return cast(EngineFile, find(SHELF, self.kind).load())

    @contextmanager
    def _pool(self) -> Iterator[Pool | None]:
        """Where steps run; None for this process: one worker, or a source or data set that lives here alone."""
        here = bool(self.modules) or self.place.in_memory
        if here or (self.workers == 1 and not self._file.ALWAYS):
            yield None
            return
        with self._file.pool(self.workers, self.place) as pool:
            yield pool

    @contextmanager
    def _told(self, job: Job) -> Iterator[None]:
        """A lost worker as one message, whether it is noticed when a step ends or when the next one is handed out."""
        try:
            yield
        except self._file.ended() as error:
            raise UserError(
                "a worker process was ended from outside, perhaps for want of memory",
                where=job.step,
                hint=self._file.HINT,
            ) from error
