"""The box answers what a person who must ship asks, and does not contradict the tables under it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np

from evaluation.judged import CLASSES, items, predictions
from evaluation.test_every_single import with_another
from transfuse.evaluation.case import Case
from transfuse.evaluation.elsewhere.door import evaluate, set_up
from transfuse.evaluation.verdict import judge, record
from transfuse.jsonio import pretty
from transfuse.report.blocks import Text
from transfuse.report.claimed import deciding, distance
from transfuse.report.lines import plain
from transfuse.report.sections import differences, verdict
from transfuse.report.view import View

KNOWN = items(300)


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


def test_a_difference_that_may_be_too_small_to_count_says_so(monkeypatch):
    """Between 0 and the margin the interval alone would look like a gain."""
    view = view_of(with_another(1.5, monkeypatch))
    small, found = "The interval leaves out 0, but not differences that are too small to count.", deciding(view)
    assert found is not None and found.status == "better" and small not in plain(distance(view, found))
    open_ = next(claim for claim in view.claims if claim.status == "not shown" and claim.quantity == view.metric)
    row = view.claimed(open_)
    assert row is not None and row.high is not None and row.high < 0.0
    assert plain(distance(view, open_)).endswith(f" nats). {small}")
    monkeypatch.setattr(view, "claimed", lambda claim: replace(row, high=0.01))
    assert plain(distance(view, open_)).endswith(" nats).")


def test_where_every_single_model_is_beaten_the_chosen_one_answers(monkeypatch):
    view = view_of(with_another(1.5, monkeypatch))
    (answer,) = (line for line in box(view) if line.startswith("Does fusing pay?"))
    assert answer.startswith("Does fusing pay? Yes. Shown better. concat against frozen/lite0, the best single model")
    assert "every single" not in answer


def test_the_box_names_another_single_model_that_is_shown_better(monkeypatch):
    view = view_of(with_another(4.0, monkeypatch))
    assert verdict.recommendation(view).label == "Recommendation, but shown worse than frozen/vgg (see the flags below)"
    assert any(line.startswith("What to ship instead: frozen/vgg.") for line in box(view))


def handed_in(skills: dict[str, float], **asked: Any) -> View:
    given = {name: predictions(name, KNOWN, skill).scores for name, skill in skills.items()}
    found = evaluate(given, KNOWN.targets, scale="logit", **asked)
    made = record(found, found.arms, {"ordinal": 1}, set_up(found, version="0"))
    return View(json.loads(pretty(made)))


def test_of_predictions_the_box_tells_what_ships_by_how_much_and_how_the_candidate_fares():
    view = handed_in({"poor": 1.0, "good": 3.0, "fair": 2.0}, candidate="poor")
    said = box(view)
    assert view.recommendation.arm == "good"
    assert any("Shown worse. poor against good" in line and "95 % interval" in line for line in said)
    assert any("Shown better. good against fair" in line and "95 % interval" in line for line in said)


def test_a_third_file_that_is_shown_better_than_what_ships_is_flagged():
    """The selection rows chose first and second; the judged rows prefer the third, which stands in the table below."""
    rows = np.arange(300)
    split = ["val" if row % 3 == 0 else "test" for row in rows]
    given = {name: predictions(name, KNOWN, 2.0).scores.copy() for name in ("first", "second", "third")}
    true = np.eye(len(CLASSES))[KNOWN.targets]
    given["first"] += 1.5 * true * (rows % 3 == 0)[:, None]
    given["second"] += true * (rows % 3 == 0)[:, None]
    given["third"] += 1.5 * true * (rows % 3 != 0)[:, None]
    labels = {"item": rows.astype(str), "label": [CLASSES[target] for target in KNOWN.targets], "split": split}
    held = {
        name: {"ids": rows.astype(str), "scores": each, "classes": list(CLASSES), "scale": "logit"}
        for name, each in given.items()
    }
    found = evaluate(held, labels)
    assert found.verdict.recommendation.arm == "first"
    (flag,) = found.verdict.flags
    assert flag.evidence == ("log_loss:first-vs-third:test:clean",)
    assert "shown worse than another one, third" in flag.why and "ship third instead" in flag.why


def test_equal_files_are_told_as_equal_and_nothing_would_part_them():
    one = predictions("one", KNOWN, 2.0).scores
    for margin in ("auto", 0.0):
        found = evaluate({"first": one, "second": one.copy()}, KNOWN.targets, scale="logit", margin=margin)
        view = View(json.loads(pretty(record(found, found.arms, {"ordinal": 1}, set_up(found, version="0")))))
        said = " ".join(box(view))
        assert "on all 300 judged items both give the very same predictions" in said
        assert "What would settle" not in said


def test_without_an_interval_the_reason_stands_once():
    found = evaluate({"first": np.eye(3)[[0]], "second": np.full((1, 3), 1 / 3)}, np.array([0]), scale="probability")
    view = View(json.loads(pretty(record(found, found.arms, {"ordinal": 1}, set_up(found, version="0")))))
    (answer,) = (line for line in box(view) if "against" in line)
    assert answer.lower().count("not shown") == 1 and "an interval needs at least two items" in answer


def test_guesses_are_doubted_in_the_first_words_and_few_rows_at_the_end():
    view = handed_in({"first": 0.0, "second": 0.0})
    label = verdict.recommendation(view).label
    assert label == "Recommendation, but not shown better than answering without looking (see the flags below)"
    assert "rough" not in plain(verdict.reach(view))
    found = evaluate({"one": np.eye(3)[[0, 1] * 6], "two": np.eye(3)[[0, 2] * 6]}, np.array([0, 1] * 6))
    few = View(json.loads(pretty(record(found, found.arms, {"ordinal": 1}, set_up(found, version="0")))))
    assert "Only 12 items judged: intervals over so few are rough." in plain(verdict.reach(few))


def test_a_statistician_finds_method_n_and_correction():
    view = handed_in({"good": 3.0, "fair": 2.0, "poor": 0.0})
    assert "after correction over 3 pairs in log_loss, Holm; intervals are each for itself." in plain(
        verdict.reach(view)
    )
    told = next(plain(block.prose) for block in differences.blocks(view) if isinstance(block, Text))
    assert "95 % interval (t interval over crossed runs and items" in told and "; 300 items, 3 runs):" in told
    alone = handed_in({"good": 3.0, "fair": 2.0}, candidate="good")
    assert "correction" not in plain(verdict.reach(alone))


def test_flags_give_the_difference_and_call_its_limits_an_interval(monkeypatch):
    view = view_of(with_another(4.0, monkeypatch))
    (flag,) = view.flags
    assert re.search(r"differs by \+[\d.]+ nats, 95 % interval \+[\d.]+ to \+[\d.]+ \(lower is better\)", flag.why)
