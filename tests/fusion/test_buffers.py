"""What is no weight in a merge: running statistics and counters, by policy."""

from __future__ import annotations

import numpy as np
import pytest

from transfuse.errors import UserError
from transfuse.fusion.buffers import Buffers, what_is_no_weight
from transfuse.fusion.weights_lift import merge_states
from transfuse.registry import method

STATES = {
    name: {
        "norm.running_mean": np.array([mean]),
        "norm.running_var": np.array([variance]),
        "norm.num_batches_tracked": np.array(count),
        "ids": np.array([count]),
    }
    for name, mean, variance, count in (("a", 0.0, 1.0, 3), ("b", 2.0, 4.0, 5))
}


def merged(full_name="weights/mean", **more):
    return {name: array.ravel().tolist() for name, array in merge_states(method(full_name), STATES, **more).items()}


def test_moments_are_those_of_both_outputs_together():
    rng = np.random.default_rng(0)
    samples = [rng.normal(mean, deviation, 200_000) for mean, deviation in ((0, 1), (2, 2))]
    found = merged(buffers=Buffers("moments"))
    assert found["norm.running_mean"] == [1.0] and found["norm.running_var"] == [3.5]
    assert np.isclose(np.concatenate(samples).var(), 3.5, rtol=0.02)


@pytest.mark.parametrize(("policy", "mean", "variance"), [("mean", 1.0, 2.5), ("first", 0.0, 1.0)])
def test_policies_of_statistics(policy, mean, variance):
    found = merged(buffers=Buffers(policy))
    assert (found["norm.running_mean"], found["norm.running_var"]) == ([mean], [variance])


@pytest.mark.parametrize(("policy", "count"), [("largest", 5), ("sum", 8), ("first", 3)])
def test_policies_of_counters_leave_other_integers_alone(policy, count):
    found = merged(buffers=Buffers(counters=policy))
    assert found["norm.num_batches_tracked"] == [count] and found["ids"] == [5]


def test_task_vectors_never_make_a_variance_negative():
    base = {name: array * 0 + array.dtype.type(9) for name, array in STATES["a"].items()}
    found = merged("weights/task_arithmetic", base=base, weights=[1.0, 1.0])
    assert found["norm.running_var"] == [2.5]  # as weights it would be 9 - 8 - 5 = -4
    assert merged("weights/task_arithmetic", base=base, weights=[-1.0, -1.0])["norm.running_var"] == [2.5]


def test_only_a_pair_of_statistics_is_one():
    assert what_is_no_weight("n.running_var", ["n.running_mean", "n.running_var"])
    assert not what_is_no_weight("n.running_var", ["n.running_var"])
    assert not what_is_no_weight("n.weight", ["n.running_mean", "n.running_var", "n.weight"])


def test_unknown_policies_are_refused_with_the_nearest():
    with pytest.raises(UserError, match="(?s)'moment'.*moments"):
        Buffers("moment")
    with pytest.raises(UserError, match="counters 'sums'"):
        Buffers(counters="sums")
