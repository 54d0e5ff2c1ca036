"""Students in a run: taught, also by heads that know half of the classes and about rows without labels; judged beside
themselves untaught, charged for their teachers, shipped and opened again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import transfuse
from e2e.house import events
from transfuse.doors.study import Study
from transfuse.plan.recipe import validated
from transfuse.run.run import Outcome, Request, run
from transfuse.store import Store

POOL = 40
RECIPE = {
    # Columns of their own heads stand for digits here, five of each; it does not matter how badly.
    "sources": {
        "residual": {
            "spec": "demo:residual",
            "seen": "none",
            "prepare": {"size": 14},
            "classes": ["0", "1", "2", "3", "4", *[None] * 5],
        },
        "depthwise": {
            "spec": "demo:depthwise",
            "seen": "none",
            "prepare": {"size": 14},
            "classes": [*[None] * 5, "5", "6", "7", "8", "9"],
        },
    },
    "data": {
        "read": "sklearn:digits",
        "splits": {"per_class": 5, "val": 40, "test": 60},
        "canvas": 16,
        "extra": {"pool": {"take": POOL, "targets": "none"}},
    },
    "candidates": {
        "student": {
            "of": ["depthwise"],
            "train": {
                "epochs": 20,
                "rates": [0.01],
                "objective": ["distil", "distil_features"],
                "teacher": ["frozen/residual"],
                "stream": "pool",
            },
        },
        "halves": {"fuse": "outputs/mean_prob", "of": ["as_is/residual", "as_is/depthwise"]},
        "pupil": {
            "of": ["depthwise"],
            "train": {
                "regime": "full",
                "epochs": 1,
                "objective": "amalgamate",
                "teacher": ["as_is/residual", "as_is/depthwise"],
                "stream": "pool",
            },
        },
        "adapted": {
            "fuse": "features/concat",
            "train": {"epochs": 2, "rates": [0.003], "objective": "coral", "stream": "pool"},
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
    folder = tmp_path_factory.mktemp("student")
    recipe = {**RECIPE, "run": {"store": str(folder / "store")}}
    return run(Request(validated(recipe, where="test"), folder, folder / "out"))


def test_a_student_is_judged_against_itself_untaught(outcome):
    arms = {arm["name"]: arm for arm in outcome.evidence["arms"]}
    assert arms["student/untaught"]["role"] == "control"
    pairs = {(claim["arm"], claim["versus"]) for claim in outcome.evidence["verdict"]["claims"]}
    assert {
        ("student", "student/untaught"),
        ("pupil", "pupil/untaught"),
        ("adapted", "adapted/untaught"),
        ("student", "ensemble"),
    } <= pairs
    assert ("student", "pupil/untaught") not in pairs
    assert [entry for entry in outcome.evidence["not_measured"] if "fail" in entry["why"]] == []


def test_its_training_costs_what_its_teachers_cost_too(outcome):
    cost = {arm["name"]: arm["cost"] for arm in outcome.evidence["arms"]}
    assert cost["student"]["inference_flops"] == cost["student/untaught"]["inference_flops"]
    # Two steps, of 32 and of 18 labelled rows, each with 32 of the pool.
    own = cost["pupil/untaught"]["train_flops"] * (50 + 64) / 50
    teachers = [cost[f"as_is/{name}"] for name in ("residual", "depthwise")]
    said = sum(teacher["train_flops"] + POOL * teacher["inference_flops"] for teacher in teachers)
    assert cost["pupil"]["train_flops"] == pytest.approx(own + said)


def test_heads_that_know_half_of_the_classes_are_arms_and_members(outcome):
    arms = {arm["name"]: arm for arm in outcome.evidence["arms"]}
    assert arms["halves"]["members"] == ["as_is/residual", "as_is/depthwise"]
    losses = {
        row["arm"]: row["value"]
        for row in outcome.evidence["evidence"]
        if row["quantity"] == "log_loss" and row["versus"] is None and row["condition"] == "clean"
    }
    # Heads of another task know nothing of digits, and their openings say so.
    assert all(losses[name] < 2.6 for name in ("as_is/residual", "as_is/depthwise", "halves"))


def test_the_pool_holds_no_row_that_trains_chooses_or_judges(outcome):
    store = Store(outcome.folder.path.parent / "store")
    steps = {event["step"]: event["key"] for event in events(outcome.folder.path) if event["event"] == "step_done"}
    answered = store.need(steps["predict as_is/residual s0 pool"])
    fit = store.need(steps["fit pupil s0"])
    assert len(answered["rows"]) == fit.meta["stream_rows"] == POOL
    trained, judged = (store.need(steps[name])["rows"] for name in ("teach frozen/residual s0", "predict pupil s0"))
    used = np.concatenate([trained, judged, fit["held_rows"], fit["calibrate_rows"]])
    assert len(trained) == 50 and not set(answered["rows"].tolist()) & set(used.tolist())


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
