"""How many threads linear algebra may use: without it the number of cores would change the last bits of a result, and
small products on busy cores would take many times as long, since threads wait for each other in a loop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def cores() -> int:
    """How many cores this process may use: of a container that was given some of a machine's, those."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def linear_algebra(count: int = 1) -> Iterator[None]:
    """Inside, NumPy's and SciPy's linear algebra uses `count` threads; afterwards as many as before."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(count, user_api="blas"):
        yield
