"""The unit of a number decides nothing: prices in euros or in millions of them get the same verdict."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from transfuse.evaluation.elsewhere.door import evaluate
from transfuse.evaluation.verdict import Judgement
from transfuse.types import Evidence

POWERS = {"units": 1, "units²": 2}
ITEMS = 120


def _judged(unit: float, runs: int) -> Judgement:
    """Two models that are close, a bad one, and one that answers with the same number always; numbers of this unit."""
    rng = np.random.default_rng(7)
    truth = rng.normal(size=ITEMS) + 3.0
    shared = rng.normal(size=ITEMS)
    found = {
        name: unit * (truth + size * (0.5 * shared + rng.normal(size=(runs, ITEMS))))[..., None]
        for name, size in {"near": 0.50, "close": 0.53, "far": 1.2}.items()
    }
    found["constant"] = np.full((ITEMS, 1), unit * float(truth.mean()))
    groups = {str(row): f"g{row % 40}" for row in range(ITEMS)} if runs == 1 else None
    labels: Any = unit * truth
    return evaluate(found, labels, kind="regression", groups=groups, candidate="near")


def _turned(row: Evidence, unit: float) -> list[float]:
    """Value and limits in the unit of the first judgement, and p; NaN for what there is not."""
    size = unit ** POWERS.get(row.unit, 0)
    found = [each / size if isinstance(each, float) else math.nan for each in (row.value, row.low, row.high)]
    return [*found, math.nan if row.p is None else row.p]


@pytest.mark.parametrize("runs", [1, 3, 6])
@pytest.mark.parametrize("unit", [1e-25, 1e-9, 1e-6, 5e4, 1e12, 1e25])
def test_another_unit_gives_the_same_evidence_in_it(unit: float, runs: int) -> None:
    plain, other = _judged(1.0, runs), _judged(unit, runs)
    assert other.verdict.recommendation.arm == plain.verdict.recommendation.arm
    assert [row.id for row in other.evidence] == [row.id for row in plain.evidence]
    for row, same in zip(plain.evidence, other.evidence, strict=True):
        assert same.method == row.method, row.id
        assert same.provenance.get("status") == row.provenance.get("status"), row.id
        assert _turned(same, unit) == pytest.approx(_turned(row, 1.0), rel=1e-5, abs=1e-6, nan_ok=True), row.id
