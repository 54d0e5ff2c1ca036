"""The lift of pooling: members' scores become probabilities, and what comes back is held to the simplex."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

from transfuse.errors import UserError
from transfuse.fusion import outputs_lift
from transfuse.registry import method


@settings(deadline=None, max_examples=30)
@given(scores=arrays(np.float32, (2, 3, 4), elements=st.floats(-1e4, 1e4, width=32)))
def test_logits_become_scipys_softmax(scores):
    found = outputs_lift.probabilities(scores, "logit")
    assert np.allclose(found, softmax(scores.astype(np.float64), axis=-1))


def test_probabilities_are_renormalised_and_never_changed_in_place():
    scores = np.array([[0.5004, 0.5], [0.25, 0.75]])
    assert outputs_lift.probabilities(scores, "probability").sum(axis=1) == pytest.approx(1.0, abs=1e-15)
    assert scores[0, 0] == 0.5004


@pytest.mark.parametrize(
    ("scores", "scale", "text"),
    [
        ([[np.nan, 1.0]], "logit", "NaN"),
        ([[np.inf, 1.0]], "probability", "NaN or infinity"),
        ([[-0.5, 1.5]], "probability", "no probabilities"),
        ([[0.0, 0.0]], "probability", "no probabilities"),
        ([[0.2, 0.2], [0.5, 0.5]], "probability", "got: 1 other rows"),
        ([[2.0, 1.0]], "probability", "their scale is logit"),
        ([[0.5, 0.5]], "value", "scale 'value'"),
    ],
)
def test_scores_that_are_no_probabilities_are_refused(scores, scale, text):
    with pytest.raises(UserError, match=text):
        outputs_lift.probabilities(np.array(scores), scale)


@pytest.mark.parametrize(
    "returned",
    [
        np.full((2, 3), 0.5),
        np.full((2, 3), np.nan),
        np.array([[1.5, -0.5, 0.0]] * 2),
        np.full((3, 2), 0.5),
        np.full(3, 1 / 3),
    ],
    ids=["sums to 1.5", "NaN", "negative", "transposed", "one row"],
)
def test_what_is_no_probability_vector_never_leaves(returned):
    entry = SimpleNamespace(
        load=lambda: SimpleNamespace(apply=lambda state, members: returned), full_name="outputs/odd", traits={}
    )
    with pytest.raises(ValueError, match="outputs/odd returned"):
        outputs_lift.apply(entry, {}, np.full((2, 2, 3), 1 / 3))


def test_unknown_settings_are_refused():
    with pytest.raises(UserError, match="unknown parameter of outputs/mean_prob 'power'"):
        outputs_lift.fit(method("outputs/mean_prob"), np.full((1, 2, 2), 0.5), np.array([0, 1]), {"power": 2})
