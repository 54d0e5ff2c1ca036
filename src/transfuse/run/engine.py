"""The local engine: walks from the wanted results back to what is ready, runs that, and walks again.

Only what a wanted result needs is ever computed; what follows a choice is not known before the choice is made. A result
that the store has lost or damaged is made anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

from transfuse.errors import TransfuseError
from transfuse.events import Journal
from transfuse.plan.graph import Given, Plan, Step, resolved, step_key
from transfuse.run.worker import Done, Job, Place, carry_out, in_worker, start_worker
from transfuse.store import Store

POLL_SECONDS = 0.2
Cost = Callable[[Step], float]


class OutOfTimeError(Exception):
    """The budget for training is used up; `unfinished` names the steps that were still wanted."""


@dataclass
class Engine:
    """Runs a plan's steps; `workers` says how many at once and changes no result."""

    plan: Plan
    store: Store
    place: Place
    journal: Journal
    workers: int = 1
    modules: Mapping[str, Any] = field(default_factory=dict)
    cost: Cost = lambda step: 0.0
    deadline: float | None = None
    on_test: Callable[[], None] = lambda: None
    done: dict[str, str] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    reused: set[str] = field(default_factory=set)
    values: dict[str, Any] = field(default_factory=dict)

    def run(self, targets: tuple[str, ...]) -> dict[str, str]:
        """The keys of the targets, all computed. Raises OutOfTimeError when the deadline passes before they are."""
        with self._pool() as pool:
            running: dict[Future[Done], Job] = {}
            while True:
                ready: dict[str, Job] = {}
                if all([self._visit(target, ready) is not None for target in targets]):
                    return {target: self.done[target] for target in targets}
                busy = {job.step for job in running.values()}
                waiting = sorted((job for job in ready.values() if job.step not in busy), key=self._order)
                late = self.deadline is not None and time.monotonic() > self.deadline
                if late and not running:
                    raise OutOfTimeError(", ".join(job.step for job in waiting))
                for job in [] if late else waiting[: self.workers - len(running)]:
                    self._start(job, pool, running)
                if pool is not None:
                    self._collect(running)

    def _order(self, job: Job) -> tuple[float, str]:
        return (self.cost(self.plan.steps[job.step]), job.step)

    def _visit(self, name: str, ready: dict[str, Job]) -> str | None:
        """The key of a step whose result is there, else None, with what can run for it put into `ready`."""
        if name in self.done:
            return self.done[name]
        step = self.plan.steps[name]
        if not all([self._visit(select.choice, ready) is not None for select in step.selects]):
            return None
        inputs = resolved(step, self._chosen)
        keys = {role: ref.key if isinstance(ref, Given) else self._visit(ref, ready) for role, ref in inputs.items()}
        if any(key is None for key in keys.values()):
            return None
        key = step_key(step, inputs, lambda ref: self.done[ref])
        if self.store.has(key):
            self.done[name] = key
            if name not in self.executed:
                self.reused.add(name)
            return key
        ready[name] = Job(name, step.kind, key, step.params, {role: str(found) for role, found in keys.items()})
        return None

    def _chosen(self, choice: str) -> Any:
        if choice not in self.values:
            artifact = self.store.get(self.done[choice])
            if artifact is None:
                raise TransfuseError(f"the store lost the choice '{choice}'; run again to make it anew")
            self.values[choice] = artifact.meta["chosen"]
        return self.values[choice]

    def _start(self, job: Job, pool: ProcessPoolExecutor | None, running: dict[Future[Done], Job]) -> None:
        if self.plan.steps[job.step].opens_test:
            self.on_test()
        self.journal.emit("step_started", step=job.step, kind=job.kind, key=job.key)
        if pool is None:
            self._finish(job, carry_out(job, self.place, self.journal.emit, self.modules))
        else:
            running[pool.submit(in_worker, job, self.place)] = job

    def _collect(self, running: dict[Future[Done], Job]) -> None:
        finished, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in finished:
            self._finish(running.pop(future), future.result())

    def _finish(self, job: Job, done: Done) -> None:
        if done.lost is not None:
            self.journal.emit("artifact_lost", step=job.step, key=done.lost)
            gone = [name for name, key in self.done.items() if key == done.lost]
            if not gone:
                raise TransfuseError(f"the store lost what {job.step} starts from; run again to make it anew")
            for name in gone:
                del self.done[name]
            return
        self.executed.append(job.step)
        self.journal.emit("step_done", step=job.step, kind=job.kind, key=job.key, cpu_seconds=round(done.cpu_seconds, 3))

    @contextmanager
    def _pool(self) -> Iterator[ProcessPoolExecutor | None]:
        """Worker processes; none for one worker, or where a source or the data set lives in this process."""
        if self.workers == 1 or self.modules or not isinstance(self.place.data, str | dict):
            self.workers = 1
            yield None
            return
        pool = ProcessPoolExecutor(
            self.workers, mp_context=get_context("spawn"), initializer=start_worker
        )
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
