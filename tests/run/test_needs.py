"""The memory a step is expected to hold: its inputs, its weights, its processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transfuse.run.needs import PROCESS, TORCH, TRAINED, USED, memory
from transfuse.run.worker import Job
from transfuse.store import Store

NUMBERS = 5_000_000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path)
    found.put("a" * 64, {"parameters": NUMBERS})
    found.put("b" * 64, {}, {"x": np.zeros((1000, 250), dtype=np.float32)})
    return found


def asked(store: Store, kind: str, params: dict[str, Any], **keys: str) -> int:
    return memory(Job("a step", kind, "k" * 64, params, {role: key * 64 for role, key in keys.items()}), store)


def test_a_step_without_networks_holds_a_process_and_what_it_is_given(store: Store) -> None:
    assert asked(store, "evaluate", {}) == PROCESS
    given = asked(store, "evaluate", {}, x0="b") - PROCESS
    assert 1_000_000 <= given < 1_002_000
    assert asked(store, "evaluate", {}, x0="b", gone="c") == PROCESS + given


@pytest.mark.parametrize(
    ("kind", "params", "each", "processes"),
    [
        ("extract", {}, USED, 1),
        ("train", {"schedule": {"regime": "frozen"}}, USED, 1),
        ("train", {"schedule": {"regime": "full"}}, TRAINED, 1),
        ("train", {"schedule": {"regime": "full"}, "ranks": 4}, TRAINED, 4),
        ("train", {"schedule": {"regime": "full"}, "ranks": 4, "shard_weights": True}, TRAINED / 4, 4),
        ("predict", {"schedule": {"regime": "full"}, "ranks": 4}, USED, 1),
    ],
)
def test_weights_count_by_what_is_done_with_them(
    store: Store, kind: str, params: dict[str, Any], each: float, processes: int
) -> None:
    card = sum(file.stat().st_size for file in store.folder("a" * 64).iterdir())
    assert asked(store, kind, params, card0="a") == processes * (PROCESS + TORCH + card + each * NUMBERS)
    both = asked(store, kind, params, card0="a", card1="a") - asked(store, kind, params, card0="a")
    assert both == processes * (card + each * NUMBERS)
