"""The engines shelf: where steps run; a pool takes jobs and gives futures, and nothing it does may change a result.

A file offers `pool(workers, place)`, a context manager that gives a `Pool`, ended on leaving with what waits cancelled,
and `ended()`, the exceptions that mean a worker is gone, with `HINT`, what a user may do then. `ALWAYS` says that it is
used for a single worker too; else one worker is this process.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from transfuse.run.worker import Done, Job, Place

SHELF = "run/engines"


@dataclass(frozen=True)
class Pool:
    """`submit(job)` hands a step out; so many `workers` take steps at once."""

    submit: Callable[[Job], Future[Done]]
    workers: int


class EngineFile(Protocol):
    """What a file of this shelf offers."""

    ALWAYS: bool
    HINT: str

    def ended(self) -> tuple[type[BaseException], ...]:
        """What is raised where a worker is gone."""
        ...

    def pool(self, workers: int | None, place: Place) -> AbstractContextManager[Pool]:
        """`workers` None leaves the number to the engine."""
        ...
