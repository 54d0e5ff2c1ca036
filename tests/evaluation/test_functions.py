"""Users' own metrics: functions and shelf forms, given by name or pointed at."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error

from transfuse.errors import UserError
from transfuse.evaluation import metrics
from transfuse.evaluation.elsewhere.door import evaluate
from transfuse.evaluation.metric import metric, metrics_from
from transfuse.evaluation.metrics import accuracy
from transfuse.types import Evidence, Undefined

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(0, 3, 60)
PROBS = RNG.dirichlet(np.ones(3), (2, 60)) * 0.4 + 0.6 * np.eye(3)[TARGETS] * RNG.random((2, 60, 1))
PROBS /= PROBS.sum(axis=2, keepdims=True)


def cost(targets: np.ndarray, scores: np.ndarray) -> float:
    """Errors towards class 2 cost twice."""
    said = scores.argmax(axis=1)
    return float(np.where(said == targets, 0.0, np.where(said == 2, 2.0, 1.0)).mean())


cost.direction = "lower"  # pyright: ignore[reportFunctionMemberAccess]


def rows(name: str, functions: dict[str, Any], **more: Any) -> list[Evidence]:
    judgement = evaluate({"a": PROBS[0], "b": PROBS[1]}, TARGETS, metrics=functions, **more)
    return [row for row in judgement.evidence if row.quantity == name]


def test_a_function_stands_beside_the_usual_metrics_with_an_interval() -> None:
    levels = {row.arm: row for row in rows("cost", {"cost": cost}) if row.versus is None}
    with metrics_from(given={"cost": cost}):
        row = levels["a"]
        assert isinstance(row.value, float)
        assert row.low is not None
        assert row.high is not None
        assert row.low < row.value < row.high
    assert row.direction == "lower"
    (difference,) = [row for row in rows("cost", {"cost": cost}) if row.versus]
    assert difference.provenance["status"] in ("better", "worse", "equivalent", "not shown")


def test_it_may_decide() -> None:
    judgement = evaluate({"a": PROBS[0], "b": PROBS[1]}, TARGETS, metrics={"cost": cost}, metric="cost")
    assert judgement.case.task.metric == "cost"
    assert {claim.quantity for claim in judgement.verdict.claims} >= {"cost"}
    assert judgement.margin == pytest.approx(0.05 * judgement.case.selection[judgement.case.best_single])


def test_a_function_of_ranks_may_ask_for_scores_before_the_temperature() -> None:
    """Which is another one in each fold, so that ranks after it are not those of the model."""

    def largest(_: np.ndarray, scores: np.ndarray) -> float:
        return float(scores.max())

    found = {}
    for takes in ("probabilities", "ranks"):
        largest.takes = takes  # pyright: ignore[reportFunctionMemberAccess]
        (row,) = [
            row for row in rows("largest", {"largest": (largest, "lower")}) if (row.arm, row.versus) == ("a", None)
        ]
        found[takes] = row.value
    assert found["ranks"] == pytest.approx(PROBS[0].max())
    assert found["probabilities"] != pytest.approx(found["ranks"])


def test_a_function_and_our_own_metric_agree_in_value_and_nearly_in_interval() -> None:
    found = rows("theirs", {"theirs": (lambda y, p: float(-np.log(p[np.arange(len(y)), y]).mean()), "lower")})
    ours = {row.arm: row for row in rows("log_loss", {}) if row.versus is None}
    for row in found:
        if row.versus is None:
            same = ours[row.arm]
            assert row.value == pytest.approx(same.value, abs=1e-9)
            assert row.low == pytest.approx(same.low, abs=0.25 * (same.high or 0) - 0.25 * (same.low or 0))


def test_the_form_of_the_shelf_may_be_given_too() -> None:
    traits = {"direction": "higher", "low": 0.0, "high": 1.0}
    form = SimpleNamespace(per_item=accuracy.per_item, TRAITS=traits)
    given = {row.id.replace("mine", "accuracy"): row for row in rows("mine", {"mine": form})}
    for row in rows("accuracy", {}):
        assert (given[row.id].value, given[row.id].low) == (row.value, row.low)


def test_a_resample_on_which_it_does_not_exist_leaves_the_value_without_interval() -> None:
    def fragile(targets: np.ndarray, scores: np.ndarray) -> float:
        if len(np.unique(scores[:, 0])) < len(scores):
            raise ValueError("ties")
        return 0.5

    (row, *_) = rows("fragile", {"fragile": (fragile, "higher")})
    assert row.value == 0.5
    assert row.low is None
    assert "does not exist on every resample" in row.method


def test_nan_is_undefined_with_its_reason() -> None:
    (row, *_) = rows("none", {"none": (lambda targets, scores: float("nan"), "higher")})
    assert isinstance(row.value, Undefined)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"x": lambda y, p: 1.0}, "does not say which direction is better"),
        ({"x": (lambda y, p: 1.0, "up")}, "unknown direction 'up'"),
        ({"x": (3, "lower")}, "is no function"),
        ({"accuracy": (cost, "lower")}, "cannot be called 'accuracy'"),
        ({"x": (lambda y, p: "good", "lower")}, "gives no number"),
        ({"x": (lambda y, p: p, "lower")}, "gives no number"),
        ({"x": (lambda y, p: float("inf"), "lower")}, "is infinite"),
        ({"x": (lambda y: 1.0, "lower")}, "the metric 'x' failed"),
    ],
)
def test_nonsense_is_one_message(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        rows("x", given)


def test_pointers_find_scikit_learn_and_a_module_beside_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "own_metric.py").write_text(
        "def gap(targets, scores):\n    return float(abs(targets - scores).max())\ngap.direction = 'lower'\n",
        encoding="utf-8",
    )
    numbers = RNG.normal(size=(30, 1))
    with metrics_from(tmp_path):
        gap, absolute = metric("own_metric:gap"), metric("sklearn.metrics:mean_absolute_error?direction=lower&unit=EUR")
        assert gap.values(numbers, numbers[None] + 0.25)[0] == pytest.approx(0.25)
        assert absolute.unit == "EUR"
        given = numbers[None] + RNG.normal(size=(2, 30, 1))
        wanted = [mean_absolute_error(numbers, run) for run in given]
        np.testing.assert_allclose(absolute.values(numbers, given), wanted)
        answers = metric("sklearn.metrics:accuracy_score?direction=higher&takes=answers")
        assert answers.values(TARGETS, PROBS)[0] == metric("accuracy").values(TARGETS, PROBS)[0]
    with pytest.raises(UserError, match="there is no module 'own_metric'"):
        metric("own_metric:gap")
    assert not hasattr(metrics, "own_metric")
