"""The way between two merged sources as evidence: both barriers by view, with the way itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation.judged import case
from transfuse.evaluation.questions import path
from transfuse.types import Observation


def walked(*losses: tuple[float, ...], view: str = "as merged"):
    """A way with these losses in each run."""
    seen = [
        Observation("soup", f"s{run}", f"path_loss:{view}:{place / (len(own) - 1):.6g}", loss, 100, final=True)
        for run, own in enumerate(losses)
        for place, loss in enumerate(own)
    ]
    return {row.id: row for row in path.ask(replace(case(), observations=tuple(seen)))}


def test_both_barriers_are_their_definitions():
    rows = walked((0.2, 0.9, 0.5, 0.6))
    line, ends = (rows[f"{name}:soup:selection:clean:as-merged"] for name in ("barrier_line", "barrier_ends"))
    assert line.value == pytest.approx(0.9 - (0.2 + (0.6 - 0.2) / 3)) and ends.value == pytest.approx(0.9 - 0.4)
    assert (line.unit, line.direction, line.low) == ("nats", "lower", None)
    assert line.provenance["losses"] == [0.2, 0.9, 0.5, 0.6] and line.provenance["shares"][1] == pytest.approx(
        1 / 3, abs=1e-4
    )


def test_runs_are_averaged_after_each_ones_barrier_was_found():
    rows = walked((0.0, 1.0, 0.0), (0.0, 0.0, 0.0), (0.0, 2.0, 0.0), view="estimated anew, tempered")
    row = rows["barrier_line:soup:selection:clean:estimated-anew-tempered"]
    assert row.value == pytest.approx(1.0) and row.low is not None and row.low < 0 < (row.high or 0)
    assert row.provenance["losses"] == [0.0, 1.0, 0.0] and row.seeds == 3


def test_where_nothing_was_walked_nothing_is_said():
    assert path.ask(case()) == []
