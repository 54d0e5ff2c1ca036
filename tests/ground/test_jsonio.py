from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.jsonio import canonical, digest, file_digest, plain, pretty

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@dataclass(frozen=True)
class Point:
    x: float
    rest: tuple[int, ...] = (1, 2)


def test_golden_bytes_hold_since_every_key_rests_on_them() -> None:
    value = {"b": [1, 2.5, None, True], "a": "ü"}
    assert canonical(value) == '{"a":"ü","b":[1,2.5,null,true]}'
    assert digest(value) == "5cffe7b2256261270211e66d136e0fc423a603024179f1fb99fe31e771368b2f"


@settings(deadline=None, max_examples=60)
@given(JSON)
def test_the_canonical_spelling_loses_nothing(value: Any) -> None:
    assert json.loads(canonical(value)) == value
    assert json.loads(pretty(value)) == value
    assert pretty(value).endswith("\n")


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_keys_changes_nothing(value: dict[str, int]) -> None:
    assert canonical(dict(reversed(value.items()))) == canonical(value)


def test_records_of_every_kind_become_plain() -> None:
    given = {
        "p": Point(0.5),
        1: Path("a") / "b",
        "s": {3, 1, 2},
        "n": np.float32(0.5),
        "i": np.int64(7),
        "z": np.array(2),
    }
    assert plain(given) == {
        "p": {"x": 0.5, "rest": [1, 2]}, "1": "a/b", "s": [1, 2, 3], "n": 0.5, "i": 7, "z": 2,
    }  # fmt: skip
    assert type(plain(np.float64(0.5))) is float
    assert plain(np.bool_(True)) is True


@pytest.mark.parametrize("bad", [math.nan, math.inf, np.float32("nan"), {"a": [-math.inf]}, Point(math.nan)])
def test_what_is_no_number_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="undefined"):
        canonical(bad)


def test_a_value_without_a_spelling_is_refused() -> None:
    for bad in (b"bytes", object(), np.zeros(3)):
        with pytest.raises(TypeError):
            canonical(bad)


def test_a_file_is_hashed_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 100_000)
    assert file_digest(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()
