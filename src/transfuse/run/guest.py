"""What a step may change of the process that it runs in, put back: without it a verb would leave whoever called it with
one thread, and with random numbers that depend on how much was in the store."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

# Parameters of glibc's mallopt: what is kept of freed memory, what is fetched beyond what is asked for, and the size
# from which memory is the system's own. Inside a step; and as glibc sets them once a block of 32 MiB was freed.
TRIM, PAD, MAP = -1, -2, -3
KEPT = {MAP: 32 << 20, TRIM: (1 << 31) - 1, PAD: 64 << 20}
USUAL = {MAP: 32 << 20, TRIM: 64 << 20, PAD: 128 << 10}


@contextmanager
def as_found(threads: int) -> Iterator[None]:
    """Inside, torch uses `threads` threads in an operation; afterwards all that is global is as it was, also where
    something is raised: threads, default type, grad mode, precision and determinism of torch, and the random states of
    Python, NumPy and torch (on the CPU, and on graphics cards that are in use).

    Imports torch. Freed memory is kept for the next batch meanwhile (`memory_kept`).
    """
    import torch

    cudnn = torch.backends.cudnn
    kept_python, kept_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the caller's
    count, kind, grad = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    precision, how = torch.get_float32_matmul_precision(), (cudnn.benchmark, cudnn.deterministic)
    strict = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cards = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=cards), memory_kept():
        # The low bits depend on the number, so it is part of the plan.
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(count)
            torch.set_default_dtype(kind)
            torch.set_grad_enabled(grad)
            torch.set_float32_matmul_precision(precision)
            torch.use_deterministic_algorithms(strict[0], warn_only=strict[1])
            cudnn.benchmark, cudnn.deterministic = how
            random.setstate(kept_python)
            np.random.set_state(kept_numpy)  # noqa: NPY002


@contextmanager
def memory_kept() -> Iterator[None]:
    """Inside, glibc keeps freed memory for what comes next instead of giving it back; elsewhere this does nothing.

    Returning and refetching the pages of every activation nearly doubles the time of a forward pass of 64 images. What
    held before cannot be asked for: afterwards it is as glibc tunes itself in any process that frees large blocks.
    """
    try:
        adjust = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        yield
        return
    for parameter, size in KEPT.items():
        adjust(parameter, size)
    try:
        yield
    finally:
        for parameter, size in USUAL.items():
            adjust(parameter, size)
