"""Delivered predictions are the same bytes every time, and any reader of the format reads them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load

from transfuse.run.deliver import _recommended, safetensors_bytes

ARRAYS = {"scores": np.arange(6, dtype=np.float32).reshape(3, 2), "rows": np.array([2, 0, 1])}


@settings(deadline=None, max_examples=20)
@given(st.dictionaries(st.text(min_size=1, max_size=6), st.text(max_size=9), min_size=2, max_size=8))
def test_facts_in_any_order_are_the_same_bytes_and_come_back(facts):
    data = safetensors_bytes(ARRAYS, facts)
    assert data == safetensors_bytes(ARRAYS, dict(reversed(facts.items())))
    start = 8 + int.from_bytes(data[:8], "little")
    assert start % 8 == 0 and json.loads(data[8:start])["__metadata__"] == facts
    for name, array in load(data).items():
        np.testing.assert_array_equal(array, ARRAYS[name])


def test_the_package_reads_the_facts(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_bytes(ARRAYS, {"scale": "logit", "items": "é"}))
    with safe_open(path, framework="numpy") as opened:
        assert opened.metadata() == {"scale": "logit", "items": "é"}


@pytest.mark.parametrize(
    ("shipped", "expected"), [("gate", "gate"), ("economical", "economical"), (None, "economical")]
)
def test_the_recommendation_names_what_is_delivered(shipped, expected):
    """What every fold chose anew is judged under its own name, and shipped under that of the choice on all rows."""
    arms = {"gate@12": {"form": "fused", "members": ("a", "b")}}
    prepared: Any = SimpleNamespace(plan=SimpleNamespace(steps={"evaluate": SimpleNamespace(params={"arms": arms})}))
    made = {"verdict": {"recommendation": {"arm": "economical", "form": "ensemble", "why": "It is cheap."}}}
    found = _recommended(made, prepared, {} if shipped is None else {"arm": shipped})
    assert found["arm"] == expected
    assert (found.get("judged_as"), found["form"]) == (
        ("economical", "fused") if shipped == "gate" else (None, "ensemble")
    )
    assert found["why"].endswith("It is cheap.")
