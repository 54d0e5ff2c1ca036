"""The whole matrix, every fuser on every pair of architectures; minutes, so `make test-all` only."""

from __future__ import annotations

import pytest

from fusion.matrix_cells import METHODS, PAIRS, hold

pytestmark = pytest.mark.exhaustive
CELLS = [(method, *pair) for method in METHODS for pair in PAIRS]


@pytest.mark.parametrize(("method", "first", "second"), CELLS, ids=["-".join(cell) for cell in CELLS])
def test_cell(method, first, second):
    hold(method, first, second)
