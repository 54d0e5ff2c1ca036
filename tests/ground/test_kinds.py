"""What all rooms know of tasks is one thing."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import transfuse
from transfuse.evaluation.metric import metric
from transfuse.kinds import LEAST_PROBABILITY


def test_the_judge_floors_probabilities_where_pools_do():
    sure = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    lost = -np.log(LEAST_PROBABILITY)
    assert metric("log_loss").values(np.array([0, 0]), sure)[0] == pytest.approx(lost / 2, rel=1e-12)
    assert metric("binary_log_loss").values(np.array([[1, 0], [1, 0]]), sure)[0] == pytest.approx(lost / 2, rel=1e-2)


def test_no_pool_and_no_step_has_a_floor_of_its_own():
    package = Path(transfuse.__file__).parent
    own = re.compile(r'(?<!"ftol": )(?<!floored at )1e-15')
    for room in ("fusion", "steps", "doors", "train", "compress"):
        texts = {path.name: path.read_text(encoding="utf-8") for path in (package / room).rglob("*.py")}
        assert not [name for name, text in texts.items() if own.search(text)]
