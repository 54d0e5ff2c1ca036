"""Reports of predictions from elsewhere: nothing is said of models that nobody has seen; each kind has its words."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from transfuse.evaluation.elsewhere.door import evaluate, set_up
from transfuse.evaluation.verdict import record
from transfuse.jsonio import pretty
from transfuse.report.document import findings
from transfuse.report.exports import model_card
from transfuse.report.terminal import render_terminal
from transfuse.report.text import render_markdown
from transfuse.report.view import View

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(0, 3, 90)
LABELS = (RNG.random((90, 3)) < 0.4).astype(int)
NUMBERS = RNG.normal(size=(90, 2))


def told(predictions: Any, labels: Any, **asked: Any) -> dict[str, Any]:
    judgement = evaluate(predictions, labels, **asked)
    return json.loads(pretty(record(judgement, judgement.arms, {}, set_up(judgement, version="0"))))


@pytest.fixture(scope="module")
def classes() -> dict[str, Any]:
    scores = {name: skill * np.eye(3)[TARGETS] + RNG.normal(size=(90, 3)) for name, skill in (("a", 3.0), ("b", 0.5))}
    return told(scores, TARGETS, scale="logit")


def test_nobody_says_that_they_were_pretrained_and_the_other_stands_beside(classes: dict[str, Any]) -> None:
    text = " ".join(render_terminal(classes).split())
    assert "Ship a: the model behind these predictions." in text
    assert "the next best by log-loss, b," in text and "Is it better? Yes. Shown better. a against b:" in text
    page = render_markdown(classes)
    assert "pretrained model" not in page and "best single model" not in page and "A fusion has to beat" not in page
    levels = {
        row["arm"]: row["value"]
        for row in classes["evidence"]
        if row["id"].startswith("accuracy:") and not row["versus"]
    }
    assert f"right; the next best by log-loss, b, {100 * levels['b']:.1f} %." in text


def test_a_short_name_leaves_room_for_the_second_measure(classes: dict[str, Any]) -> None:
    assert any(line.startswith("    in accuracy  + shown better") for line in render_terminal(classes).splitlines())


def test_a_card_of_predictions_opens_no_model_and_claims_no_kind_of_input(classes: dict[str, Any]) -> None:
    card = model_card.render(View(classes))
    assert "transfuse.load" not in card and "image-classification" not in card and "base_model" not in card


def test_a_margin_of_zero_is_said_to_be_none() -> None:
    scores = {"x": RNG.normal(size=80) + 1.0, "y": RNG.normal(size=80)}
    text = " ".join(render_terminal(told(scores, None)).split())
    assert "Any difference in score counts: the margin is 0." in text and " score." not in text.split("What was")[0]


def test_labels_and_numbers_have_sections_of_their_own_form() -> None:
    labels = {name: skill * (2.0 * LABELS - 1.0) + RNG.normal(size=(90, 3)) for name, skill in (("a", 3.0), ("b", 0.5))}
    found = findings(View(told(labels, LABELS, kind="multilabel", scale="logit", candidate="a")))
    assert {"harm", "calibration", "selective", "diversity", "flips"} <= set(found)
    assert (
        "labels shown worse" in found["harm"].finding and "points one way or the other" in found["calibration"].finding
    )
    numbers = {name: NUMBERS + size * RNG.normal(size=(90, 2)) for name, size in (("a", 0.2), ("b", 1.0))}
    record_ = told(numbers, NUMBERS, kind="regression", candidate="a")
    found = findings(View(record_))
    assert "squared error" in found["diversity"].finding and "targets shown worse" in found["harm"].finding
    assert "selective" not in found and "calibration" not in found
    assert "come without a confidence" in render_markdown(record_)


def test_every_measure_that_was_asked_stands_in_the_report() -> None:
    """Who names R² or the absolute error finds them without opening the record."""
    numbers = {"a": NUMBERS + 0.1 * RNG.normal(size=(90, 2)), "b": NUMBERS + RNG.normal(size=(90, 2))}
    page = render_markdown(told(numbers, NUMBERS, kind="regression"))
    assert "Other measures of the same arms" in page and "(units, lower is better) | R² (higher is better) |" in page
    labels = {"a": 3.0 * LABELS - 1.5 + RNG.normal(size=(90, 3)), "b": 1.0 * LABELS + RNG.normal(size=(90, 3))}
    page = render_markdown(told(labels, LABELS, kind="multilabel", scale="logit"))
    assert "labels right" in page and "macro-F1" in page and "average precision" in page


def test_nothing_is_said_to_lie_beside_the_report_that_does_not(classes: dict[str, Any]) -> None:
    page = render_markdown(classes)
    assert "predictions lie beside" not in page and "measurements.json" not in page and "keep the files" in page


def test_predictions_from_elsewhere_are_no_fusions(classes: dict[str, Any]) -> None:
    rows = [
        line for line in render_markdown(classes).splitlines() if "predictions of " in line and line.startswith("|")
    ]
    assert rows and all("| candidate |" in line for line in rows)


def test_of_labels_it_is_labels_that_models_answer_differently() -> None:
    labels = {name: 3.0 * LABELS - 1.5 + RNG.normal(size=(90, 3)) for name in ("a", "b", "c")}
    page = render_markdown(told(labels, LABELS, kind="multilabel", scale="logit"))
    assert "share of labels on which the two answer differently" in page
    assert "share of labels that at least one member gets right" in page


def test_numbers_that_know_nothing_are_told_in_words_of_numbers() -> None:
    page = render_markdown(told({"a": NUMBERS[::-1].copy()}, NUMBERS, kind="regression"))
    assert "It is not shown better than answering without looking" in page and "frequent" not in page
