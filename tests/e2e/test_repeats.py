"""Repeated cross-fitting from recipe to verdict: each repeat is a run, and every row is answered by its own fold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from e2e.test_full_ladder import RECIPE, Spy
from transfuse.doors.study import Study
from transfuse.evaluation.case import Case
from transfuse.plan.recipe import validated
from transfuse.run.run import Outcome, Request, run
from transfuse.steps import evaluate


@pytest.fixture(scope="module")
def ran(tmp_path_factory: Any) -> tuple[Outcome, Case, Request]:
    folder: Path = tmp_path_factory.mktemp("repeats")
    rows = np.arange(0, 1797, 18)
    from sklearn.datasets import load_digits

    digits = load_digits()
    np.savez(folder / "digits.npz", images=digits.images[rows] / 16.0, labels=digits.target[rows])
    recipe = {
        **RECIPE,
        "sources": {name: RECIPE["sources"][name] for name in ("residual", "depthwise")},
        "alternative": None,
        "data": {"read": "npz:digits.npz", "canvas": 16},
        "protocol": "crossfit",
        "repeats": 2,
        "ladder": "quick",
        "judge": {},
        "train": {"frozen": {"epochs": 2, "rates": [0.01]}},
        "run": {"store": str(folder / "store")},
    }
    request = Request(validated(recipe, where="test"), folder, folder / "out")
    with pytest.MonkeyPatch.context() as patch:
        spy = Spy(evaluate.judge)
        patch.setattr(evaluate, "judge", spy)
        outcome = run(request)
    return outcome, spy.cases[-1], request


def test_each_repeat_is_a_run_that_judges_every_row(ran: tuple[Outcome, Case, Request]) -> None:
    for table in ran[1].tables.values():
        assert table.runs == ("r0", "r1")
        assert table.probs.shape[:2] == table.folds.shape == (2, len(ran[1].items))
        assert set(table.folds[0]) == set(table.folds[1]) == set(range(5))


def test_the_folds_of_a_repeat_are_other_folds(ran: tuple[Outcome, Case, Request]) -> None:
    folds = ran[1].tables["concat"].folds
    together = [np.equal.outer(row, row) for row in folds]
    assert not np.array_equal(*together)


def test_features_stand_in_the_folds_of_the_first_repeat(ran: tuple[Outcome, Case, Request]) -> None:
    case = ran[1]
    assert case.features.items.ids == case.items.ids
    np.testing.assert_array_equal(case.features.folds, case.tables["concat"].folds[0])


def test_fewer_rows_are_seen_in_every_fold(ran: tuple[Outcome, Case, Request]) -> None:
    seen = [found for found in ran[1].observations if found.quantity == "selection_loss" and found.arm == "concat"]
    assert {found.run for found in seen} == {f"f{number}" for number in range(10)}
    assert len({found.rows for found in seen}) >= 2


def test_what_is_recommended_is_what_was_delivered(ran: tuple[Outcome, Case, Request]) -> None:
    """A choice that each fold made anew is no model: the one made on all rows is, and it opens."""
    study = Study.of_folder(ran[0].folder.path)
    chosen = study.verdict["recommendation"]
    assert study.model_folder.is_dir()
    assert chosen.get("judged_as", chosen["arm"]) in ran[1].tables
    model = study.model()
    with torch.no_grad():
        assert model.probabilities(torch.rand(2, 3, 16, 16)).shape == (2, 10)


def test_running_again_computes_nothing(ran: tuple[Outcome, Case, Request]) -> None:
    assert run(ran[2]).executed == 0
