"""Features in shards: the same evidence as from one block, and a run that is stopped goes on at the shard it was in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from transfuse import mapped
from transfuse.events import Journal
from transfuse.plan.recipe import validated
from transfuse.run import shards as room
from transfuse.run.engine import Engine, Walk
from transfuse.run.prepare import prepare
from transfuse.run.run import place_of
from transfuse.run.shards import SHARD_ROWS, shards
from transfuse.steps import extract
from transfuse.store import Artifact, Store

RECIPE: dict[str, Any] = {
    "sources": {name: {"spec": f"demo:{name}@random", "seen": "none"} for name in ("residual", "depthwise")},
    "data": {"read": "npz:digits.npz", "splits": {"train": 150, "val": 50, "test": 100}, "canvas": 16},
    "candidates": ["features/concat"],
    "ladder": "quick",
    "seeds": 1,
    "train": {"frozen": {"epochs": 2, "rates": [0.01], "least_steps": 8}},
}
# Of 150 rows a seed draws 120.
TRAIN_SHARDS, TEST_SHARDS = 4, 4


def kept(arrays: Mapping[str, np.ndarray]) -> str:
    return " ".join(map(str, arrays["rows"]))


@given(st.lists(st.integers(0, 300), min_size=1, max_size=100, unique=True), st.integers(1, 20))
def test_shards_are_the_rows_in_order_each_but_the_last_full(rows: list[int], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "SHARD_ROWS", most)
        found = shards("pool", np.array(rows), kept)
    assert " ".join(block.key for block in found) == " ".join(map(str, sorted(rows)))
    assert [block.count for block in found[:-1]] == [most] * (len(found) - 1)
    assert 1 <= found[-1].count <= most
    names = [block.name for block in found]
    assert names == (["pool"] if len(found) == 1 else sorted(set(names)))


def test_a_shard_holds_whole_batches() -> None:
    assert SHARD_ROWS % extract.BATCH == 0


class StoppedError(Exception):
    """Stands for a kill."""


@dataclass
class Ran:
    """What was wanted of a run by step, the extractions that it took, and those that were begun."""

    found: dict[str, Artifact]
    done: list[str]


def ran(folder: Path, store: Store, begun: Callable[[str], None] = lambda step: None) -> Ran:
    """The predictions of every arm that always runs, by the steps of a plan; nothing is judged."""
    done: list[str] = []

    def emit(event: str, **details: Any) -> None:
        if details.get("kind") == "extract":
            if event == "step_started":
                begun(details["step"])
            elif event == "step_done":
                done.append(details["step"])

    prepared = prepare(validated(RECIPE, where="test"), root=folder, store=store)
    targets = [name for name, step in prepared.plan.steps.items() if step.kind == "predict" and not step.selects]
    walk = Walk(prepared.plan, store)
    journal = Journal(folder / "journal.jsonl", listeners=[lambda event: emit(event["event"], **_rest(event))])
    try:
        Engine(walk, place_of(prepared, store), journal).run(targets)
    except StoppedError:
        return Ran({}, done)
    return Ran({name: store.need(walk.done[name]) for name in targets}, done)


def _rest(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "event"}


def test_shards_in_files_give_the_same_scores_and_a_stop_costs_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.datasets import load_digits

    torch.set_num_threads(1)
    digits = load_digits()
    np.savez(tmp_path / "digits.npz", images=digits.images[:300] / 16.0, labels=digits.target[:300])
    whole = ran(tmp_path, Store(tmp_path / "one"))
    monkeypatch.setattr(room, "SHARD_ROWS", 32)
    monkeypatch.setattr(mapped, "READ_BYTES", 0)
    monkeypatch.setattr(mapped, "ROOM_BYTES", 0)
    store, begun = Store(tmp_path / "other"), []

    def stop(step: str) -> None:
        begun.append(step)
        if len(begun) == TRAIN_SHARDS:
            raise StoppedError

    before = ran(tmp_path, store, stop).done
    assert len(before) == TRAIN_SHARDS - 1
    after = ran(tmp_path, store)
    assert not set(before) & set(after.done)
    apart = [step for step in whole.done if " val" in step]
    cut = (len(whole.done) - len(apart)) // 2
    assert len(before) + len(after.done) == cut * (TRAIN_SHARDS + TEST_SHARDS) + len(apart)
    assert set(after.found) == set(whole.found)
    for name, artifact in whole.found.items():
        np.testing.assert_array_equal(after.found[name]["scores"], artifact["scores"], err_msg=name)
    assert not list(store.scratch.iterdir())
