"""A step that several processes do together: started, met, ended, and what it makes is what one process makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from transfuse.errors import UserError
from transfuse.events import Journal
from transfuse.plan.recipe import validated
from transfuse.run.engine import Engine, Walk
from transfuse.run.prepare import Prepared, prepare
from transfuse.run.ranked import together
from transfuse.run.run import place_of
from transfuse.run.worker import Job, Place
from transfuse.store import Artifact, Store

NETWORK = """
from torch import nn

def make():
    layers = [nn.Conv2d(3, 64, 4, 4), nn.Tanh(), nn.Conv2d(64, 257, 2), nn.Tanh()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(257, 4))
"""
PREPARE = {"size": 8, "scale": 1, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
FIT = "fit together s0"


def prepared(folder: Path, store: Store, ranks: int, shard: bool = False, **more: Any) -> Prepared:
    given = {
        "sources": {
            name: {"spec": f"factory:net:make?seed={number}", "seen": "none", "prepare": PREPARE}
            for number, name in enumerate("ab")
        },
        "data": {"read": "npz:data.npz", "canvas": 8, "splits": {"train": 60, "val": 30, "test": 20}},
        "candidates": {
            "together": {
                "fuse": "features/concat",
                "of": ["a", "b"],
                "train": {"regime": "full", "epochs": 3, "rates": [0.003, 0.01], "batch": 16, "least_steps": 1, **more},
            }
        },
        "judge": {"test": "all"},
        "ladder": "quick",
        "seeds": 1,
        "run": {"ranks": ranks, "shard_weights": shard},
    }
    return prepare(validated(given, where="test"), root=folder, store=store)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 110)
    images = (rng.integers(0, 40, (110, 8, 8)) + 60 * labels[:, None, None]).astype(np.uint8)
    np.savez(tmp_path / "data.npz", x=images, y=labels)
    (tmp_path / "net.py").write_text(NETWORK, encoding="utf-8")
    return tmp_path


def fitted(folder: Path, ranks: int, shard: bool = False, **more: Any) -> Artifact:
    torch.set_num_threads(1)
    store = Store(folder / f"store of {ranks}")
    made = prepared(folder, store, ranks, shard, **more)
    walk = Walk(made.plan, store)
    Engine(walk, place_of(made, store), Journal(folder / "journal.jsonl")).run([FIT])
    return store.need(walk.done[FIT])


def test_the_number_of_ranks_belongs_to_what_is_trained_in_full_and_to_nothing_else(folder: Path) -> None:
    store = Store(folder / "store")
    one, two = prepared(folder, store, 1).plan, prepared(folder, store, 2).plan
    changed = {name for name, step in two.steps.items() if dict(step.params) != dict(one.steps[name].params)}
    assert FIT in changed and two.steps[FIT].params["ranks"] == 2
    assert "ranks" not in one.steps[FIT].params
    assert not any(name.startswith(("extract", "fit frozen")) for name in changed)
    assert one.key != two.key
    third = prepared(folder, store, 2, shard=True).plan
    assert third.steps[FIT].params["shard_weights"] is True and "shard_weights" not in two.steps[FIT].params
    assert len({one.key, two.key, third.key}) == 3


def test_weights_of_one_process_cannot_be_divided(folder: Path) -> None:
    with pytest.raises(UserError, match="shard_weights"):
        prepared(folder, Store(folder / "store"), 1, shard=True)


def test_a_step_of_one_process_starts_no_other(tmp_path: Path) -> None:
    place = Place(Store(tmp_path), tmp_path, "x", "cpu", 1, None)
    for job in (Job("fit", "train", "k", {}, {}), Job("predict", "predict", "k", {"ranks": 2}, {})):
        with together(job, place):
            assert not torch.distributed.is_initialized()
    assert list(tmp_path.iterdir()) == []


def test_data_in_memory_are_refused(tmp_path: Path) -> None:
    place = Place(Store(tmp_path), tmp_path, (np.zeros((2, 3, 3)), np.zeros(2)), "cpu", 1, None)
    with pytest.raises(UserError, match="in memory"), together(Job("fit", "train", "k", {"ranks": 2}, {}), place):
        pass


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("shard", "more"),
    [(False, {}), (True, {}), (True, {"average": "ema"}), (True, {"layer_decay": 0.8})],
)
def test_two_processes_train_what_one_trains_up_to_rounding(folder: Path, shard: bool, more: dict[str, Any]) -> None:
    alone, both = fitted(folder, 1, **more), fitted(folder, 2, shard, **more)
    for fact in ("rate", "epoch", "items", "trials"):
        assert both.meta[fact] == alone.meta[fact]
    np.testing.assert_allclose(both["held"], alone["held"], atol=1e-4)
    for name, array in alone.arrays.items():
        if name.startswith("state/"):
            np.testing.assert_allclose(both[name], array, atol=1e-4, err_msg=name)
    assert [point["train"] for point in both.meta["curve"]] == pytest.approx(
        [point["train"] for point in alone.meta["curve"]], abs=1e-4
    )
    assert not torch.distributed.is_initialized()
    assert not any(path.name.startswith("ranks-") for path in (folder / "store of 2" / "scratch").iterdir())


@pytest.mark.exhaustive
@pytest.mark.parametrize(("shard", "more"), [(False, {"augment": ["mixup"]}), (True, {"thaw": "gradual"})])
def test_what_cannot_be_divided_is_one_message_and_leaves_no_process(
    folder: Path, shard: bool, more: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match="cannot be divided"):
        fitted(folder, 2, shard, **more)
    assert not torch.distributed.is_initialized()
