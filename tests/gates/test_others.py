"""The release gates of choices, families, folds and resampled metrics, cell by cell; minutes, `make gates` only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from gates import grid

pytestmark = pytest.mark.gates


CELLS = [pytest.param(each, id=str(number)) for number, each in enumerate(grid.other_cells())]


@pytest.mark.parametrize("cell", CELLS)
def test_the_cell_holds(cell: grid.Cell, record_property: Any) -> None:
    row = cell()
    record_property("gate", asdict(row))
    assert grid.problems(row) == []
