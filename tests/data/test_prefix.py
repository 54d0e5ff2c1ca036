"""Prefixes are nested, hold every class, and belong to the items, not to the order of the table."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.data.items import Items, table
from transfuse.data.prefix import prefix

LABELS = ["a"] * 30 + ["b"] * 15 + ["c"] * 3


def items(order: list[int] | None = None) -> Items:
    rows = order or list(range(len(LABELS)))
    return table([f"i{row}" for row in rows], [LABELS[row] for row in rows], ["0" * 32] * len(rows))


@settings(deadline=None, max_examples=20)
@given(st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_a_smaller_prefix_lies_inside_a_larger_one(one: float, other: float) -> None:
    rows = np.arange(2, len(LABELS))
    small, large = (set(prefix(items(), rows, share).tolist()) for share in sorted((one, other)))
    assert small <= large <= set(rows.tolist())


def test_every_class_is_there_from_the_first() -> None:
    found = prefix(items(), np.arange(48), 0.01)
    assert sorted(LABELS[row] for row in found) == ["a", "b", "c"]


def test_a_prefix_has_the_shares_of_the_whole() -> None:
    found = prefix(items(), np.arange(48), 0.5)
    counts = {label: sum(LABELS[row] == label for row in found) for label in "abc"}
    assert len(found) == 24
    assert abs(counts["a"] - 15) <= 1 and abs(counts["b"] - 7.5) <= 1 and counts["c"] >= 1


def test_the_order_of_the_table_changes_nothing() -> None:
    turned = list(np.random.default_rng(0).permutation(48))
    straight = {f"i{row}" for row in prefix(items(), np.arange(48), 0.3)}
    assert {items(turned).ids[row] for row in prefix(items(turned), np.arange(48), 0.3)} == straight


def test_the_whole_is_the_whole() -> None:
    np.testing.assert_array_equal(prefix(items(), np.arange(48)[::-1], 1.0), np.arange(48))
