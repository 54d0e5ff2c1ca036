"""Worker processes of this machine, started afresh, so that none inherits a thread or a lock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context

from transfuse.run.engines import Pool
from transfuse.run.worker import Place, in_worker, start_worker

ALWAYS = False
HINT = "run again with fewer --workers; what is done is kept"


def ended() -> tuple[type[BaseException], ...]:
    return (BrokenProcessPool,)


@contextmanager
def pool(workers: int | None, place: Place) -> Iterator[Pool]:
    """So many processes, one where nobody says; they end with this one, however that ends."""
    context, here = get_context("spawn"), (os.getpid(),)
    executor = ProcessPoolExecutor(workers or 1, mp_context=context, initializer=start_worker, initargs=here)
    try:
        yield Pool(lambda job: executor.submit(in_worker, job, place), workers or 1)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
