"""Carrying out one step in this process, whichever engine asked for it."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transfuse.errors import UserError, first_line, out_of_memory
from transfuse.events import Emit, Journal
from transfuse.registry import find
from transfuse.run.guest import as_found
from transfuse.run.ranked import together
from transfuse.store import Artifact, LostArtifactError, Store
from transfuse.threads import linear_algebra


@dataclass(frozen=True)
class Job:
    """One step, ready to run: what to compute, from which keys, and the key its result goes to."""

    step: str
    kind: str
    key: str
    params: Mapping[str, Any]
    keys: Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """Where jobs run: the store, the recipe's folder, data and further sets, device, thread count and journal."""

    store: Store
    root: Path
    data: Any
    device: str
    threads: int
    journal: Path | None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def in_memory(self) -> bool:
        """Whether something that is read lives in this process only."""
        return not all(isinstance(spec, str | dict) for spec in (self.data, *self.extra.values()))


@dataclass(frozen=True)
class Done:
    """How a job ended: the CPU seconds it took, or the key of an input that the store has lost."""

    cpu_seconds: float
    lost: str | None = None


def carry_out(
    job: Job, place: Place, emit: Emit, modules: Mapping[str, Any] | None = None, *, leads: bool = True
) -> Done:
    """Load the inputs, run the step's file, keep its result; of several at one step the leading one does.

    The process is left as it was found: it may be that of somebody who called a verb in Python.
    """
    from transfuse.steps import Context

    store = place.store
    inputs: dict[str, Artifact] = {}
    for role, key in job.keys.items():
        found = _table(store, key) if role == "items" else store.get(key)
        if found is None:
            return Done(0.0, lost=key)
        inputs[role] = found
    context = Context(
        store=store,
        root=place.root,
        data=place.data,
        modules=modules or {},
        device=place.device,
        emit=lambda event, **details: emit(event, step=job.step, **details),
        keys=job.keys,
        extra=place.extra,
        key=job.key,
    )
    step = find("steps", job.kind)
    began = time.process_time()
    own = as_found(place.threads) if "torch" in step.needs else contextlib.nullcontext()
    try:
        with own, linear_algebra(place.threads), together(job, place) if leads else contextlib.nullcontext():
            meta, arrays = step.load().run(job.params, inputs, context)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        emit("out_of_memory", step=job.step, why=first_line(error))
        raise UserError(
            "this step needs more memory than there is",
            where=job.step,
            hint="fewer --workers, a smaller canvas or batch, or other programs closed; what is done is kept",
        ) from error
    if leads:
        store.put(job.key, meta, arrays)
    return Done(time.process_time() - began)


@functools.lru_cache(maxsize=1)
def _kept_table(store: Store, key: str) -> Artifact:
    return store.need(key)


def _table(store: Store, key: str) -> Artifact | None:
    """The item table, which every step of a run is given: of a million items it takes seconds to read."""
    try:
        return _kept_table(store, key)
    except LostArtifactError:
        return None


def start_worker(parent: int) -> None:
    """Make this process a worker: it ends with its parent, however that ends and however early."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def in_worker(job: Job, place: Place) -> Done:
    """`carry_out` as a worker process runs it, reporting to the run's journal."""
    journal = Journal(place.journal) if place.journal else None
    return carry_out(job, place, journal.emit if journal else lambda event, **details: None)
