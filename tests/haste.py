"""What makes a run wait and no test looks at: timed rounds, and the disk.

A latency measured on a busy machine tells nothing, and nobody cuts the power between two tests.
"""

from __future__ import annotations

import os


def hasten() -> None:
    """From here on this process times everything as briefly as it can, and leaves flushing to the system."""
    from transfuse.steps import measure, probe

    measure.WARM_UP, measure.ROUNDS, measure.BATCH = 0, 1, 2
    probe.SECONDS = 1e-3
    os.fsync = lambda _: None
