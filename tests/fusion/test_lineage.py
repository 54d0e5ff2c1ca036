"""Where checkpoints come from, told from weights alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from transfuse.demo.networks import build
from transfuse.fusion.lineage import lineage, lone
from transfuse.fusion.turning import drawn, turned
from transfuse.seeds import stream
from transfuse.source.hidden_units.groups import find_groups
from transfuse.source.weights import ArrayReader


def state_of(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {name: value.numpy() for name, value in build("residual").state_dict().items()}


def near(state, seed, size=0.05):
    rng = np.random.default_rng(seed)
    return {
        name: array + size * array.std() * rng.normal(size=array.shape).astype(array.dtype)
        if array.dtype.kind == "f"
        else array
        for name, array in state.items()
    }


def told(states, base=None):
    readers = {name: ArrayReader(state, name) for name, state in states.items()}
    return lineage(readers, None if base is None else ArrayReader(base, "base"))


BASE = state_of(0)


def test_fine_tunes_of_one_start_are_mergeable():
    found = told({"a": near(BASE, 1), "b": near(BASE, 2)}, BASE)
    (pair,) = found.pairs
    assert found.verdict == "mergeable" and pair.cosine > 0.99 and abs(pair.task_cosine) < 0.1
    assert found.changes["a"] == pytest.approx(0.05, rel=0.2)


def test_the_same_units_in_another_order_are_to_be_aligned_first():
    network = build("residual")
    network.load_state_dict({name: torch.from_numpy(array) for name, array in BASE.items()})
    groups = find_groups(network.eval(), torch.rand(2, 1, 12, 12))
    turn = drawn(groups, stream("lineage"))
    moved = {name: turned(groups, turn, name, array) for name, array in BASE.items()}
    found = told({"a": BASE, "b": moved})
    assert found.verdict == "align first" and found.pairs[0].lengths < 1e-6


def test_networks_from_different_starts_are_not_to_be_merged():
    found = told({"a": BASE, "b": state_of(1)})
    assert found.verdict == "do not merge" and abs(found.pairs[0].cosine) < 0.1
    assert "different starts" in found.why


def test_the_worst_pair_speaks_for_all():
    found = told({"a": BASE, "b": near(BASE, 1), "c": state_of(1)})
    assert [pair.verdict for pair in found.pairs] == ["mergeable", "do not merge", "do not merge"]
    assert found.verdict == "do not merge" and found.why.startswith("a and c")


def test_drift_of_statistics_is_in_deviations():
    other = dict(BASE)
    other["features.1.running_mean"] = BASE["features.1.running_mean"] + 3 * np.sqrt(BASE["features.1.running_var"])
    (pair,) = told({"a": BASE, "b": other}).pairs
    count = sum(array.size for name, array in BASE.items() if name.endswith("running_mean"))
    assert pair.mean_drift == pytest.approx(3 * 16 / count) and pair.variance_drift == 0.0
    assert pair.verdict == "mergeable" and pair.cosine == pytest.approx(1.0)


def test_what_has_nothing_in_common_has_no_numbers_either():
    one, other, start = ({f"{name}.w": np.ones((2, 2), np.float32)} for name in "abc")
    found = told({"a": one, "b": other}, start)
    assert (found.verdict, found.changes) == ("do not merge", {})
    assert [(pair.cosine, pair.distance) for pair in found.pairs] == [(None, None)]
    vectors = told({"a": {"w": np.ones(4, np.float32)}, "b": {"w": np.full(4, 3, np.float32)}})
    assert [pair.cosine for pair in vectors.pairs] == [None]
    assert vectors.pairs[0].distance == pytest.approx(4 / np.sqrt(12))


def test_no_one_stands_alone_among_those_that_cannot_be_compared():
    states = {name: {f"{name}.w": np.ones((2, 2), np.float32)} for name in "abc"}
    assert lone(told(states).pairs) is None


def test_what_does_not_fit_is_told_and_the_rest_is_compared():
    other = near(BASE, 1) | {"classifier.weight": np.zeros((7, 64), np.float32)}
    found = told({"a": BASE, "b": other})
    assert found.verdict == "do not merge" and "share a start" in found.why
    assert found.misfits == ("tensor 'classifier.weight': [10, 64] in 'a', [7, 64] in 'b'",)
    assert found.record()["pairs"][0]["cosine"] > 0.99
