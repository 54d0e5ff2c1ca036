"""Pooling at size: seconds and memory of every outputs method, each in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np

from transfuse.errors import UserError
from transfuse.fusion import outputs_lift
from transfuse.fusion.contract import About
from transfuse.registry import method, shelf

MEMBERS, ROWS = 10, 10_000
LEARNED = ("stacking", "boosting", "route")
VARIANTS = {"vote": [{}, {"votes": "rank"}], "cascade": [{}, {"sure": "agreement"}]}


def table() -> list[str]:
    """Fit and apply on as many rows: 1,000 classes, or 100 for what learns a model, which is refused at 1,000."""
    rows = [f"{MEMBERS} members x {ROWS:,} rows, fitted and applied"]
    for name in shelf("fusion/outputs"):
        classes, limit = (100, 60) if name in LEARNED else (1000, 10)
        for settings in VARIANTS.get(name, [{}]):
            found = _apart(name, settings, classes)
            told = f"{found['seconds']:6.1f} s  {found['mb']:6.0f} MB  {limit} s and 2,000 MB wanted"
            rows.append(f"  {' '.join([name, *settings.values()]):<28} {classes:>5} classes  {told}")
    return [*rows, *(f"  {name:<28}  1000 classes  {_apart(name, {}, 1000)['refused']}" for name in LEARNED)]


def _apart(name: str, settings: dict[str, str], classes: int) -> dict:
    command = [sys.executable, "-m", "benchmarks.outputs", name, json.dumps(settings), str(classes)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def measured(name: str, settings: dict[str, str], classes: int) -> dict[str, float | str]:
    """CPU seconds of fitting and applying, and the process's peak memory in MB, the members included."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, classes, ROWS)
    members = np.empty((MEMBERS, ROWS, classes))
    for number in range(MEMBERS):
        logits = rng.standard_normal((ROWS, classes), dtype=np.float32)
        logits[np.arange(ROWS), targets] += 2 + number / 3
        members[number] = outputs_lift.probabilities(logits, "logit")
    about = About(np.ones((MEMBERS, classes), dtype=bool), np.arange(1.0, MEMBERS + 1))
    entry, began = method(f"outputs/{name}"), time.process_time()
    try:
        state = outputs_lift.fit(entry, members, targets, settings, about)
    except UserError as error:
        return {"refused": f"refused: {error.what} ({error.got})"}
    outputs_lift.apply(entry, state, members)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"seconds": time.process_time() - began, "mb": peak}


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]))))
