"""What a search costs beside one probe: hundreds of candidates on features that are there already."""

from __future__ import annotations

import time

import numpy as np

from transfuse.evaluation.probes.ridge import Heads
from transfuse.steps._screen import Screen
from transfuse.steps.search import _fusers

# Four sources of widths as they occur, and rows as a run has them.
WIDTHS, ROWS, CLASSES, FOLDS, PAIRS = (512, 1280, 1280, 768), 2000, 10, 5, 3


def table() -> list[str]:
    """CPU seconds of the search, against one probe: the cross-validated head on the widest source, features given."""
    blocks, targets, folds = world()
    widest = max(blocks, key=lambda key: blocks[key].shape[1])
    searched, probed, tried = [], [], 0
    for _ in range(PAIRS):
        began = time.process_time()
        probe(blocks[widest], targets, folds)
        middle = time.process_time()
        tried = len(search(blocks, targets, folds).tried)
        searched.append(time.process_time() - middle)
        probed.append(middle - began)
    ratios = np.array(searched) / np.array(probed)
    return [
        f"{tried} candidates of {len(WIDTHS)} sources ({', '.join(map(str, WIDTHS))} columns), {ROWS:,} rows",
        f"  search {np.median(searched):6.1f} s   one probe {np.median(probed):6.2f} s"
        f"   ratio {np.median(ratios):5.1f} ({ratios.min():.1f} to {ratios.max():.1f}); at most 10 wanted",
    ]


def world() -> tuple[dict[tuple[str, str], np.ndarray], np.ndarray, np.ndarray]:
    """Sources that each know something of their own, and folds."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, CLASSES, ROWS)
    blocks = {}
    for number, width in enumerate(WIDTHS):
        means = 3.0 / np.sqrt(width) * rng.normal(size=(CLASSES, width))
        block = means[targets] + rng.normal(size=(ROWS, width))
        blocks[f"s{number}", "vector"] = block.astype(np.float32)
    return blocks, targets, rng.integers(0, FOLDS, ROWS)


def probe(block: np.ndarray, targets: np.ndarray, folds: np.ndarray) -> None:
    """What `choose` tells of one source."""
    Heads({"one": block}, targets, CLASSES, folds).answers([("one",)])


def search(blocks: dict[tuple[str, str], np.ndarray], targets: np.ndarray, folds: np.ndarray) -> Screen:
    """What `candidates: auto` looks at."""
    screen = Screen(blocks, targets, folds, CLASSES, dict.fromkeys(blocks, 100000000.0))
    screen.run(_fusers(CLASSES))
    return screen
