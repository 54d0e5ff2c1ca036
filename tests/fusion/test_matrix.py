"""Any two architectures, any fuser: a fixed set of cells that holds every fuser on every architecture, and every pair.

`test_matrix_all.py` beside this file tries all of them.
"""

from __future__ import annotations

import pytest

from fusion.matrix_cells import METHODS, PAIRS, covering, hold
from fusion.networks_of_all_kinds import ARCHITECTURES

CELLS = covering()


@pytest.mark.parametrize(("method", "first", "second"), CELLS, ids=["-".join(cell) for cell in CELLS])
def test_cell(method, first, second):
    hold(method, first, second)


def test_the_cells_cover_every_fuser_on_every_architecture_and_every_pair():
    assert {(method, name) for method, *pair in CELLS for name in pair} == {
        (method, name) for method in METHODS for name in ARCHITECTURES
    }
    assert {frozenset(pair) for _, *pair in CELLS} == {frozenset(pair) for pair in PAIRS}
