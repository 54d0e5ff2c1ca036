"""Named random streams: the same names give the same draws, whatever else ran before and on however many workers.

A stream is a counter-based generator keyed by SHA-256 of its names, so no stream depends on how much another one drew.
"""

from __future__ import annotations

import hashlib

import numpy as np


def _key(names: tuple[str | int, ...]) -> bytes:
    # A seed read from an array is numpy's integer; it names the same stream as Python's.
    text = "\x1f".join(f"{'str' if isinstance(name, str) else 'int'}:{name}" for name in names)
    return hashlib.sha256(text.encode()).digest()


def stream(*names: str | int) -> np.random.Generator:
    """A generator for these names, e.g. `stream(seed, "train", arm)`."""
    words = np.frombuffer(_key(names)[:16], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=words))


def integer(*names: str | int) -> int:
    """A 63-bit seed for libraries that want a number."""
    return int.from_bytes(_key(names)[:8], "little") >> 1


def uniform(ids: list[str], *names: str | int) -> np.ndarray:
    """One number in [0, 1) per item, tied to its id alone: order, batches and other items change nothing. [N]."""
    prefix = _key(names)
    draws = [int.from_bytes(hashlib.sha256(prefix + item.encode()).digest()[:8], "little") >> 11 for item in ids]
    return np.array(draws, dtype=np.float64) / float(1 << 53)
