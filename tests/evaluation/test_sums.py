from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from transfuse.evaluation.metric import metric
from transfuse.evaluation.sums import mean, sums_of

TARGETS, NUMBERS = np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [4.0], [3.0]])


def gap(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    return np.abs(probs - targets)[:, 0]


def made(**laws: Any) -> dict[str, Any]:
    found = sums_of(SimpleNamespace(**laws))
    assert found is not None
    return found


def test_values_of_items_alone_are_a_mean_over_items() -> None:
    found = made(per_item=gap)
    columns = found["columns"](TARGETS, NUMBERS)
    assert found["item_mean"] and columns.tolist() == [[0.0, 1.0], [2.0, 1.0], [1.0, 1.0]]
    assert found["finish"](columns.sum(axis=0)) == 1.0
    assert found["finish"](np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 3.0]]) @ columns).tolist() == [2.0, 1.0]


def test_what_becomes_of_the_sums_may_be_said_too() -> None:
    found = made(per_item=gap, finish=lambda sums: np.sqrt(mean(sums)))
    assert not found["item_mean"] and found["finish"](found["columns"](TARGETS, NUMBERS).sum(axis=0)) == 1.0
    own = made(columns=lambda targets, probs: gap(targets, probs)[:, None], finish=lambda sums: sums[..., 0])
    assert not own["item_mean"] and own["finish"](own["columns"](TARGETS, NUMBERS).sum(axis=0)) == 3.0
    assert sums_of(SimpleNamespace(columns=gap)) is None and sums_of(gap) is None


def test_no_item_has_no_mean() -> None:
    assert np.isnan(mean(np.zeros((2, 2)))).all()


@pytest.mark.parametrize(("name", "expected"), [("rmse", False), ("squared_error", True), ("macro_auroc", False)])
def test_the_shelf_says_by_its_functions_what_is_a_mean(name: str, expected: bool) -> None:
    assert metric(name).item_mean is expected
