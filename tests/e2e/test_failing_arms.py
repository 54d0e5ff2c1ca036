"""Arms whose loss is no number, whose adversary explodes or whose adaptation is given up end alone, and say why."""

from __future__ import annotations

import pytest
import torch

from transfuse.plan.recipe import validated
from transfuse.run.run import Outcome, Request, run
from transfuse.train.objectives import _adversary, coral

HEARING = {"epochs": 1, "rates": [0.003], "stream": "pool"}
RECIPE = {
    "sources": {name: {"spec": f"demo:{name}", "seen": "none"} for name in ("depthwise",)},
    "data": {
        "read": "sklearn:digits",
        "splits": {"per_class": 3, "val": 40, "test": 60},
        "canvas": 16,
        "extra": {"pool": {"take": 20}},
    },
    "candidates": {
        "sound": {"fuse": "features/concat"},
        "nowhere": {"fuse": "features/concat", "train": {**HEARING, "objective": "coral"}},
        "exploding": {"fuse": "features/concat", "train": {"epochs": 1, "rates": [0.01], "objective": "adversarial"}},
        "idle": {"fuse": "features/concat", "train": {**HEARING, "objective": "shot"}},
    },
    "train": {"frozen": {"epochs": 1, "rates": [0.01]}},
    "ladder": "quick",
    "judge": {"test": "all"},
    "seeds": 1,
}
WHY = {
    "nowhere": "the training loss became nan",
    "exploding": "the training loss became nan",
    "idle": "nothing there learns",
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Outcome:
    folder = tmp_path_factory.mktemp("failing")
    recipe = {**RECIPE, "run": {"store": str(folder / "store")}}
    with pytest.MonkeyPatch.context() as planted:
        planted.setattr(coral, "distance", lambda one, other: one.sum() * float("nan"))
        planted.setattr(_adversary, "_spread", lambda values, canvas: values.new_full((), torch.inf))
        return run(Request(validated(recipe, where="test"), folder, folder / "out"))


def test_each_ends_with_its_own_reason_and_the_others_go_on(outcome):
    told = {entry["what"]: entry["why"] for entry in outcome.evidence["not_measured"]}
    for arm, why in WHY.items():
        assert why in told[arm]
    judged = {row["arm"] for row in outcome.evidence["evidence"] if row["quantity"] == "log_loss"}
    assert {"sound", "frozen/depthwise", "nowhere/untaught", "idle/untaught"} <= judged
    assert not judged & WHY.keys()


def test_one_of_the_others_is_recommended_and_the_report_tells_what_happened(outcome):
    assert outcome.evidence["verdict"]["recommendation"]["arm"] not in WHY
    report = (outcome.folder.path / "report.md").read_text(encoding="utf-8")
    for arm, why in WHY.items():
        assert arm in report
        assert why in report
