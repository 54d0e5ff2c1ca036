"""Processes that train one step together; without it `ranks` would have to be started from outside, each by hand.

The process that was given the step leads: it starts the others, which do the same step and keep nothing, and ends them.
On graphics cards each has its own; on the CPU they share its cores.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from transfuse.errors import UserError

if TYPE_CHECKING:
    from transfuse.run.worker import Job, Place

PATIENCE = timedelta(minutes=30)


@contextmanager
def together(job: Job, place: Place) -> Iterator[None]:
    """The other processes of a step that is divided, while it runs here. Raises UserError where one of them ended."""
    # What a trained network answers is asked with the same parameters, by one process.
    count = int(job.params.get("ranks", 1)) if job.kind == "train" else 1
    if count == 1:
        yield
        return
    import torch

    if place.in_memory:
        raise UserError("data in memory cannot be divided over processes", where="recipe, run.ranks", hint="ranks: 1")
    cards = torch.cuda.device_count() if place.device != "cpu" else 0
    if 0 < cards < count:
        raise UserError("there are fewer graphics cards than ranks", where="recipe, run.ranks", got=f"{cards} cards")
    place.store.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.store.scratch, prefix="ranks-") as folder:
        meeting = Path(folder) / "meeting"
        start = multiprocessing.get_context("spawn").Process
        given = [(job, replace(place, journal=None), rank, meeting, os.getpid()) for rank in range(1, count)]
        others = [start(target=_follow, args=each, daemon=True) for each in given]
        try:
            for other in others:
                other.start()
            meet(meeting, 0, count, place.device)
            yield
            for other in others:
                other.join()
        except RuntimeError as error:
            if any(other.exitcode for other in others):
                raise UserError(
                    "a process that trained together with this one was ended", where=job.step, hint="run again"
                ) from error
            raise
        finally:
            for other in others:
                other.kill()
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()


def meet(meeting: Path, rank: int, count: int, device: str) -> None:
    """Wait until all processes are there."""
    import torch

    card = device != "cpu" and torch.cuda.is_available()
    if card:
        torch.cuda.set_device(rank)
    store = torch.distributed.FileStore(str(meeting.resolve()), count)  # pyright: ignore[reportPrivateImportUsage]
    torch.distributed.init_process_group(
        "nccl" if card else "gloo", store=store, rank=rank, world_size=count, timeout=PATIENCE
    )


def _follow(job: Job, place: Place, rank: int, meeting: Path, parent: int) -> None:
    """The same step in a process of its own; what it makes is what the first one keeps."""
    import torch

    from transfuse.events import silent
    from transfuse.run.worker import carry_out, start_worker

    start_worker(parent)
    meet(meeting, rank, int(job.params["ranks"]), place.device)
    carry_out(job, place, silent, leads=False)
    torch.distributed.destroy_process_group()
