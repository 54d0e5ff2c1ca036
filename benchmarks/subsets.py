"""All sets of five sources by three closed-form fusers: block Grams once against as many fits on their own."""

from __future__ import annotations

import time

import numpy as np

from transfuse.evaluation.probes.closed_forms import FUSERS, alone, every_set

ROWS, CLASSES = 2000, 10
WIDTHS = (1280, 512, 1280, 512, 384)
CHECKED = 12


def table() -> list[str]:
    """CPU seconds of all 93 fits together; of some on their own, scaled to 93; and the largest difference of scores."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, CLASSES, ROWS)
    blocks = [rng.standard_normal((ROWS, width)) + np.eye(CLASSES, width)[targets] for width in WIDTHS]
    began = time.process_time()
    together = every_set(blocks, targets, CLASSES)
    shared = time.process_time() - began
    picked = list(together)[:: max(1, len(together) // CHECKED)]
    began, worst = time.process_time(), 0.0
    for fuser, members in picked:
        found = alone(fuser, [blocks[member] for member in members], targets, CLASSES)
        worst = max(worst, float(np.abs(found - together[fuser, members]).max()))
    single = (time.process_time() - began) / len(picked) * len(together)
    count = f"{len(together)} fits ({len(FUSERS)} fusers, {ROWS} rows, widths {'/'.join(map(str, WIDTHS))})"
    return [
        f"{count}: {shared:.1f} s together, {single:.1f} s one by one (from {len(picked)} of them): "
        f"{single / shared:.1f} times faster; largest difference {worst:.1e}"
    ]
