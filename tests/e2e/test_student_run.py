"""A student in a run: taught, judged beside itself untaught, charged for its teachers, shipped and opened again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import transfuse
from transfuse.doors.study import Study
from transfuse.plan.recipe import validated
from transfuse.run.run import Outcome, Request, run

RECIPE = {
    "sources": {name: {"spec": f"demo:{name}", "seen": "none"} for name in ("residual", "depthwise")},
    "data": {"read": "sklearn:digits", "splits": {"per_class": 5, "val": 40, "test": 60}, "canvas": 16},
    "candidates": {
        "student": {
            "of": ["depthwise"],
            "train": {
                "epochs": 20,
                "rates": [0.01],
                "objective": ["distil", "distil_features"],
                "teacher": ["frozen/residual"],
            },
        },
        "pupil": {
            "of": ["depthwise"],
            "train": {"regime": "full", "epochs": 1, "objective": "distil", "teacher": "ensemble"},
        },
    },
    # The singles stop early, so that the student is the best of the small networks that the budget leaves.
    "train": {"frozen": {"epochs": 2, "rates": [0.003]}},
    "ladder": "quick",
    "margin": 0.0,
    "budget": {"flops": 5e6},
    "judge": {"test": "all"},
    "seeds": 1,
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Outcome:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("student")
    recipe = {**RECIPE, "run": {"store": str(folder / "store")}}
    return run(Request(validated(recipe, where="test"), folder, folder / "out"))


def test_a_student_is_judged_against_itself_untaught(outcome):
    arms = {arm["name"]: arm for arm in outcome.evidence["arms"]}
    assert arms["student/untaught"]["role"] == "control"
    pairs = {(claim["arm"], claim["versus"]) for claim in outcome.evidence["verdict"]["claims"]}
    assert {("student", "student/untaught"), ("pupil", "pupil/untaught"), ("student", "ensemble")} <= pairs
    assert ("student", "pupil/untaught") not in pairs
    assert [entry for entry in outcome.evidence["not_measured"] if "fail" in entry["why"]] == []


def test_its_training_costs_what_its_teachers_cost_too(outcome):
    cost = {arm["name"]: arm["cost"] for arm in outcome.evidence["arms"]}
    assert cost["student"]["inference_flops"] == cost["student/untaught"]["inference_flops"]
    own = cost["pupil/untaught"]["train_flops"]
    assert cost["pupil"]["train_flops"] == pytest.approx(own + cost["ensemble"]["train_flops"])


def test_teaching_changes_what_is_learned(outcome):
    values = {
        row["arm"]: row["value"]
        for row in outcome.evidence["evidence"]
        if row["quantity"] == "log_loss" and row["versus"] is None and row["condition"] == "clean"
    }
    assert values["student"] != values["student/untaught"]
    assert values["student"] < values["prior"]


def test_a_recommended_student_is_a_network_like_any_other(outcome):
    chosen = outcome.evidence["verdict"]["recommendation"]
    assert chosen["form"] == "student"
    assert chosen["arm"] in ("student", "pupil")
    study = transfuse.load(outcome.folder.path)
    assert isinstance(study, Study)
    with torch.no_grad():
        assert np.isfinite(study.model()(torch.rand(2, 3, 16, 16)).numpy()).all()
