"""How many threads linear algebra may use: without it the number of cores would change the last bits of a result, and
small products on busy cores would take many times as long, since threads wait for each other in a loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def linear_algebra(count: int = 1) -> Iterator[None]:
    """Inside, NumPy's and SciPy's linear algebra uses `count` threads; afterwards as many as before."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(count, user_api="blas"):
        yield
