"""The box answers what a person who must ship asks, and does not contradict the tables under it."""

from __future__ import annotations

import json
from typing import Any

from evaluation.test_every_single import with_another
from transfuse.evaluation.case import Case
from transfuse.evaluation.verdict import judge, record
from transfuse.jsonio import pretty
from transfuse.report.claimed import deciding
from transfuse.report.lines import plain
from transfuse.report.sections import verdict
from transfuse.report.view import View


def view_of(case: Case, **setup: Any) -> View:
    judgement = judge(case)
    facts = {
        "protocol": case.protocol,
        "task": {"kind": case.task.kind, "metric": case.task.metric, "also": list(case.task.also)},
        "margin": {"rule": "auto", "value": judgement.margin, "metric": case.task.metric},
        "data": {"judged": len(case.items), "source": "made up"},
        "choices": [{"choice": "best_single", "run": "all", "chosen": case.best_single, "scores": {}}],
        **setup,
    }
    return View(json.loads(pretty(record(judgement, judgement.arms, {"ordinal": 1}, facts))))


def box(view: View) -> list[str]:
    return [plain(part) for part in verdict.recommendation(view).body]


def test_a_single_model_that_holds_out_answers_whether_fusing_pays(monkeypatch):
    view = view_of(with_another(3.0, monkeypatch))
    found = deciding(view)
    assert found is not None and found.versus == "frozen/vgg"
    (answer,) = (line for line in box(view) if line.startswith("Does fusing pay?"))
    assert "concat against frozen/vgg" in answer
    assert answer.endswith("is shown to be beaten, but fusing pays only where every single model is.")


def test_where_every_single_model_is_beaten_the_chosen_one_answers(monkeypatch):
    view = view_of(with_another(1.5, monkeypatch))
    (answer,) = (line for line in box(view) if line.startswith("Does fusing pay?"))
    assert answer.startswith("Does fusing pay? Shown better. concat against frozen/lite0, the best single model")
    assert "every single" not in answer


def test_the_box_names_another_single_model_that_is_shown_better(monkeypatch):
    view = view_of(with_another(4.0, monkeypatch))
    assert verdict.recommendation(view).label == "Recommendation, but shown worse than frozen/vgg: see the flags below"
    assert any(line.startswith("What to ship instead: frozen/vgg.") for line in box(view))
