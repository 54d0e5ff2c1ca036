"""How much memory a step will hold; without it a cluster would put as many steps on a machine as it has processors.

    bytes = processes · (a process with its libraries and batches + what the step is given + weights · bytes a number)

An estimate for whoever hands steps out, never a limit: no result depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.registry import find
from transfuse.run.worker import Job
from transfuse.store import Store

# A process that has imported NumPy and SciPy; what PyTorch and its batches add.
PROCESS, TORCH = 256 << 20, 512 << 20
# Of a number that is only used; of one that is trained: itself, its gradient and two moments.
USED, TRAINED = 4, 16


def memory(job: Job, store: Store) -> int:
    """Bytes that the step will hold at once, over all processes that do it together."""
    given = sum(file.stat().st_size for key in job.keys.values() for file in store.folder(key).glob("*"))
    if "torch" not in find("steps", job.kind).needs:
        return PROCESS + given
    cards = [store.get(key) for role, key in job.keys.items() if role.startswith("card")]
    numbers = sum(int(card.meta.get("parameters", 0)) for card in cards if card is not None)
    ranks = int(job.params.get("ranks", 1)) if job.kind == "train" else 1
    each = TRAINED if job.kind == "train" and _whole(job.params) else USED
    parts = ranks if job.params.get("shard_weights") else 1
    return ranks * (PROCESS + TORCH + given + numbers * each // parts)


def _whole(params: Mapping[str, Any]) -> bool:
    """Whether the sources learn too."""
    return params.get("schedule", {}).get("regime", "frozen") != "frozen"
