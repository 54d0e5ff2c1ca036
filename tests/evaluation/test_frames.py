"""Frames of pandas are joined by the names of their rows and columns, however these are shuffled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation.judged import CLASSES, items, predictions
from transfuse.errors import UserError
from transfuse.evaluation.elsewhere.door import evaluate
from transfuse.evaluation.elsewhere.frames import labels_of, predictions_of

KNOWN = items(300)
SCORES = predictions("a", KNOWN, 2.0, 1).scores[0]
NAMED = pd.DataFrame(SCORES, index=list(KNOWN.ids), columns=list(CLASSES))
LABELS = pd.Series([CLASSES[target] for target in KNOWN.targets], index=list(KNOWN.ids))
SHUFFLED = {"frac": 1.0, "random_state": 3}


def accuracy(given: Any, labels: Any, **settings: Any) -> float:
    found = evaluate({"a": given}, labels, scale="logit", **settings)
    return next(float(row.value) for row in found.evidence if row.quantity == "accuracy")  # pyright: ignore


TRUE = float((SCORES.argmax(axis=1) == KNOWN.targets).mean())


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        (NAMED, LABELS),
        (NAMED.sample(**SHUFFLED), LABELS),
        (NAMED[list(reversed(CLASSES))], LABELS.sample(**SHUFFLED)),
        (NAMED.reset_index(names="item"), pd.DataFrame({"item": KNOWN.ids, "label": LABELS.to_numpy()})),
        (pd.DataFrame(SCORES), KNOWN.targets),
        (pd.DataFrame(SCORES)[[2, 0, 3, 1]], KNOWN.targets),
        (pd.DataFrame(SCORES).sample(**SHUFFLED), pd.Series(KNOWN.targets)),
        (SCORES, pd.Series(KNOWN.targets, name="species")),
    ],
)
def test_rows_and_columns_are_found_by_name(given: Any, labels: Any) -> None:
    assert accuracy(given, labels) == pytest.approx(TRUE)


def test_rows_of_several_seeds_stand_one_below_another() -> None:
    two = pd.concat([NAMED.assign(seed=4), NAMED.sample(**SHUFFLED).assign(seed=9)])
    assert evaluate({"a": two}, LABELS, scale="logit").case.tables["a"].runs == ("s4", "s9")


def test_numbers_and_several_labels_are_joined_by_name_too() -> None:
    truth = pd.DataFrame({"price": np.arange(40.0), "mass": np.arange(40.0) ** 2}, index=list(KNOWN.ids[:40]))
    guess = (truth + 1.0).sample(**SHUFFLED)[["mass", "price"]]
    found = evaluate({"a": guess}, truth, kind="regression", metric="squared_error")
    assert next(row.value for row in found.evidence if row.quantity == "squared_error") == pytest.approx(1.0)
    one = evaluate({"a": guess["price"]}, truth["price"], kind="regression", metric="squared_error")
    assert next(row.value for row in one.evidence if row.quantity == "squared_error") == pytest.approx(1.0)
    tags = pd.DataFrame(np.eye(4, dtype=int)[KNOWN.targets], index=list(KNOWN.ids), columns=list(CLASSES))
    told = evaluate({"a": NAMED.sample(**SHUFFLED)[list(reversed(CLASSES))]}, tags, kind="multilabel", scale="logit")
    same = evaluate({"a": SCORES}, tags.to_numpy(), kind="multilabel", scale="logit")
    values = [next(row.value for row in each.evidence if row.quantity == "subset_accuracy") for each in (told, same)]
    assert values[0] == pytest.approx(values[1])


def test_rows_of_another_name_are_no_rows_of_these_labels() -> None:
    with pytest.raises(UserError, match="300 labelled items without predictions"):
        accuracy(NAMED, LABELS.to_numpy())


def test_what_is_no_frame_stays_as_it_is() -> None:
    given = [SCORES, {"scores": SCORES}, "a.csv", None]
    assert all(predictions_of(each) is each and labels_of(each, "multiclass") is each for each in given)
