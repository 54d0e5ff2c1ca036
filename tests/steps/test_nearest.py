"""Near-identical training rows as a step: each judged row against its own runs' training rows; all finders in one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from transfuse.data.items import Items
from transfuse.evaluation.nearest import RATE, Near
from transfuse.steps import Context, _near, nearest
from transfuse.store import Artifact
from transfuse.types import Undefined

COUNT = 240


def items(groups: list[str] | None = None) -> Items:
    ids = tuple(f"i{row:03d}" for row in range(COUNT))
    labels = tuple("ab"[row % 2] for row in range(COUNT))
    return Items(ids, labels, None if groups is None else tuple(groups), (None,) * COUNT, ids, ("a", "b"))


def features(seed: int = 0) -> np.ndarray:
    """Twenty judged rows (120 to 139) are nearly the training rows 0 to 19."""
    rng = np.random.default_rng(seed)
    block = rng.normal(size=(COUNT, 8)).astype(np.float32)
    block[120:140] = block[:20] + 0.01 * rng.normal(size=(20, 8)).astype(np.float32)
    return block


def asked(tmp_path: Any, block: np.ndarray, runs: dict[str, tuple[np.ndarray, np.ndarray]], **more: Any) -> Any:
    """The step on features in two files and two taps; `runs` tells rows that train and rows that are judged."""
    store_items = Artifact(items(**more).to_json(), {})
    inputs = {"items": store_items}
    for number, columns in enumerate((slice(0, 5), slice(5, 8))):
        for name, rows in (("pool", np.arange(120)), ("test", np.arange(120, COUNT))):
            inputs[f"x{number}|{name}"] = Artifact({}, {"rows": rows, "block": block[rows][:, columns]})
    for name, (train, judge) in runs.items():
        arrays = {"train": train[:0], "calibrate": train[:10], "fit0": train[10:], "held0": train[:10], "judge": judge}
        inputs[f"rows|{name}"] = Artifact({}, arrays)
    meta, arrays = nearest.run({}, inputs, Context(tmp_path, tmp_path))
    return meta, arrays


HALVES = (np.arange(120), np.arange(120, COUNT))


def test_planted_rows_are_found_across_files_and_taps(tmp_path):
    meta, arrays = asked(tmp_path, features(), {"s0": HALVES})
    np.testing.assert_array_equal(arrays["judged"], HALVES[1])
    np.testing.assert_array_equal(np.flatnonzero(arrays["close"]), np.arange(20))
    np.testing.assert_array_equal(arrays["other"][:20], np.arange(20))
    assert set(meta["limits"]) == {"s0"} and meta["rate"] == RATE


def test_what_trains_another_fold_is_no_neighbour(tmp_path):
    """Two folds judge each other's rows: near rows within one fold are on one side."""
    block = features()
    block[120:140] = np.random.default_rng(9).normal(size=(20, 8))
    block[150:160] = block[140:150]
    meta, arrays = asked(tmp_path, block, {"f0": HALVES, "f1": HALVES[::-1]})
    assert len(arrays["judged"]) == COUNT and not arrays["close"].any()
    assert set(meta["limits"]) == {"f0", "f1"}


def test_runs_that_judge_the_same_rows_share_the_rate(tmp_path):
    """Each of two seeds trains on half of the pool; a row is near where either has what it repeats."""
    draws = {f"s{seed}": (np.arange(60 * seed, 60 * seed + 60), HALVES[1]) for seed in (0, 1)}
    one, _ = asked(tmp_path, features(), {"s0": draws["s0"]})
    two, arrays = asked(tmp_path, features(), draws)
    assert two["limits"]["s0"]["ratio"] < one["limits"]["s0"]["ratio"]
    assert arrays["close"][:20].all() and not arrays["close"][20:].any()


def test_one_step_says_nothing_where_it_cannot(tmp_path):
    few, none = asked(tmp_path, features(), {"s0": (np.arange(40), HALVES[1])})
    assert "at least 50 training rows" in few["undefined"] and none is None
    meta, arrays = nearest.run({}, {"x0|all": Artifact({"failed": "no features"}, {})}, Context(tmp_path, tmp_path))
    assert meta == {"undefined": "no features"} and arrays is None


def test_all_finders_come_in_one_form_looks_first(tmp_path):
    known, judged = items(), HALVES[1]
    meta, arrays = asked(tmp_path, features(), {"s0": HALVES})
    inputs = {
        "nearest|a": Artifact(meta, arrays),
        "nearest|b": Artifact({"undefined": "why"}, {}),
        "look_alikes|grey": Artifact({"pairs": [["i150", "i003"]]}, {}),
        "look_alikes|words": Artifact({"pairs": None}, {}),
    }
    found = _near.nearest(inputs, known, judged)
    assert list(found) == ["grey", "words", "a", "b"]
    assert found["b"] == Undefined("why") and isinstance(found["words"], Undefined)
    grey, source = found["grey"], found["a"]
    assert isinstance(grey, Near) and isinstance(source, Near)
    assert grey.other[30] == "i003" and grey.close.sum() == 1 and grey.ratio is None
    assert grey.label is not None and grey.label[30] == 1
    assert source.other[7] == "i007" and source.close[:20].all()
    np.testing.assert_array_equal(source.label, known.targets()[arrays["other"]])


@pytest.mark.parametrize("grouped", [False, True])
def test_groups_of_training_rows_are_no_neighbours_of_each_other(tmp_path, grouped):
    block = features()
    block[:120] = np.repeat(block[:20], 6, axis=0) + 0.01 * np.random.default_rng(3).normal(size=(120, 8))
    groups = [f"g{row // 6}" if row < 120 else f"own{row}" for row in range(COUNT)]
    meta, _ = asked(tmp_path, block, {"s0": HALVES}, **({"groups": groups} if grouped else {}))
    assert (meta["limits"]["s0"]["dimension"] > 5) == grouped
