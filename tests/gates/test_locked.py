"""The release gates on one test set, cell by cell; minutes, so `make gates` only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from gates import grid

pytestmark = pytest.mark.gates


@pytest.mark.parametrize(
    "cell", [pytest.param(each, id=str(number)) for number, each in enumerate(grid.locked_cells())]
)
def test_the_cell_holds(cell: grid.Cell, record_property: Any) -> None:
    row = cell()
    record_property("gate", asdict(row))
    assert grid.problems(row) == []
