"""Predictions of labels and of numbers from elsewhere, through the door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import average_precision_score, mean_squared_error, roc_auc_score

from transfuse.errors import UserError
from transfuse.evaluation.elsewhere.door import evaluate, set_up
from transfuse.evaluation.verdict import Judgement, record

RNG = np.random.default_rng(0)
N = 90
LABELS = (RNG.random((N, 3)) < [0.3, 0.5, 0.7]).astype(int)
GOOD, BAD = (skill * (2.0 * LABELS - 1.0) + RNG.normal(size=LABELS.shape) for skill in (3.0, 0.5))
NUMBERS = RNG.normal(size=(N, 2)) * [1.0, 3.0]
NEAR, FAR = (NUMBERS + size * RNG.normal(size=NUMBERS.shape) for size in (0.2, 1.0))
IDS = [f"i{row}" for row in range(N)]


def csv(path: Path, names: list[str], columns: np.ndarray, ids: list[str] = IDS, **more: list[str]) -> str:
    lines = [",".join(["item", *names, *more])]
    for row, item in enumerate(ids):
        lines.append(
            ",".join([item, *(repr(float(value)) for value in columns[row]), *(held[row] for held in more.values())])
        )
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def quantities(judgement: Judgement) -> set[str]:
    return {row.quantity for row in judgement.evidence}


def test_labels_are_judged_with_their_own_temperature_metrics_and_screens() -> None:
    judgement = evaluate({"good": GOOD, "bad": BAD}, LABELS, kind="multilabel", scale="logit", candidate="good")
    assert judgement.case.task.metric == "binary_log_loss"
    (claim,) = judgement.verdict.claims
    assert (claim.arm, claim.status) == ("good", "better")
    assert {
        "temperature",
        "ece_by_label",
        "reliability",
        "label_difference",
        "positive_flips",
        "macro_f1",
        "aurc",
        "auroc",
        "disagreement",
        "ambiguity_brier",
    } <= quantities(judgement)
    assert not {"worst_class", "ece", "class_difference"} & quantities(judgement)
    assert list(judgement.silent) == ["rows to judge that training rows nearly repeat"]
    named = [row.provenance["label"] for row in judgement.evidence if row.quantity == "label_difference"]
    assert named == ["0", "1", "2"]
    assert set_up(judgement, version="0")["data"]["labels"] == 3


def test_flips_are_the_difference_in_items_that_are_right_in_all_labels() -> None:
    judgement = evaluate({"good": GOOD, "bad": BAD}, LABELS, kind="multilabel", scale="logit", candidate="good")
    paired = {row.quantity: row.value for row in judgement.evidence if row.versus == "bad"}
    assert paired["subset_accuracy"] == pytest.approx(paired["positive_flips"] - paired["negative_flips"])
    (row,) = [row for row in judgement.evidence if row.quantity == "positive_flips"]
    item, target, _, _ = row.provenance["items"][0]
    held = [name for name, flag in zip("012", LABELS[int(item)], strict=True) if flag]
    assert target == (", ".join(held) or "none")


def test_numbers_are_judged_without_any_talk_of_classes() -> None:
    judgement = evaluate({"near": NEAR, "far": FAR}, NUMBERS, kind="regression", candidate="near")
    (row,) = [
        row for row in judgement.evidence if (row.arm, row.quantity, row.versus) == ("near", "squared_error", None)
    ]
    assert row.value == pytest.approx(mean_squared_error(NUMBERS, NEAR))
    assert {"rmse", "absolute_error", "r2", "target_difference"} <= quantities(judgement)
    assert not {"temperature", "reliability", "positive_flips", "ece", "accuracy", "aurc"} & quantities(judgement)
    assert {"error_correlation", "ambiguity_squared_error", "eir"} <= quantities(judgement)
    told = {entry["what"] for entry in record(judgement, judgement.arms, {}, {})["not_measured"]}
    assert {"calibration", "answering in part (selective risk)", "answers that change (flips)"} <= told
    assert judgement.verdict.recommendation.arm == "near"
    assert judgement.margin == pytest.approx(0.05 * judgement.case.selection["far"])
    assert not any("class" in claim.sentence for claim in judgement.verdict.claims)


def test_labels_are_answered_in_part_by_the_probability_of_all_of_them() -> None:
    judgement = evaluate({"good": GOOD, "bad": BAD}, LABELS, kind="multilabel", scale="logit", candidate="good")
    (row,) = [row for row in judgement.evidence if (row.arm, row.quantity) == ("good", "risk_at_coverage")][:1]
    probs = judgement.case.tables["good"].probs[0]
    sure = np.prod(np.where(probs >= 0.5, probs, 1.0 - probs), axis=1)
    kept = np.argsort(-sure)[: int(np.ceil(row.provenance["coverage"] * N))]
    wrong = ((probs >= 0.5) != (LABELS == 1)).any(axis=1)
    assert row.value == pytest.approx(wrong[kept].mean())


def test_labels_rank_as_scikit_learn_says() -> None:
    judgement = evaluate({"good": GOOD, "bad": BAD}, LABELS, kind="multilabel", scale="logit", candidate="good")
    (row,) = [row for row in judgement.evidence if (row.arm, row.quantity, row.versus) == ("bad", "auroc", None)]
    assert row.value == pytest.approx(roc_auc_score(LABELS, BAD))
    assert row.low is not None and row.low < row.value


@pytest.mark.parametrize("scale", ["logit", "probability"])
def test_metrics_of_ranks_are_those_of_the_scores_as_they_were_given(scale: str) -> None:
    """Each fold of the cross-fitted temperature has its own, which would move items past each other."""
    given = {"good": GOOD, "bad": BAD} if scale == "logit" else {"good": expit(GOOD), "bad": expit(BAD)}
    also = ["macro_average_precision", "macro_auroc"]
    judgement = evaluate(given, LABELS, kind="multilabel", scale=scale, candidate="good", also=also)
    moved = judgement.case.tables["bad"]
    assert average_precision_score(LABELS, moved.probs[0]) != pytest.approx(average_precision_score(LABELS, BAD))
    for name, oracle in zip(also, (average_precision_score, roc_auc_score), strict=True):
        found = {(row.arm, row.versus): row.value for row in judgement.evidence if row.quantity == name}
        good, bad = oracle(LABELS, GOOD), oracle(LABELS, BAD)
        expected = {("good", None): good, ("bad", None): bad, ("good", "bad"): good - bad}
        assert found == pytest.approx(expected, abs=1e-12)


def test_choosing_by_ranks_and_ranks_of_classes_take_scores_as_they_were_given() -> None:
    judgement = evaluate({"good": GOOD, "bad": BAD}, LABELS, kind="multilabel", scale="logit", metric="macro_auroc")
    assert judgement.case.selection["bad"] == pytest.approx(roc_auc_score(LABELS, BAD), abs=1e-12)
    targets = LABELS.sum(axis=1)
    shares = softmax(np.eye(4)[targets] + RNG.normal(size=(2, N, 4)), axis=2)
    classes = evaluate({"one": shares[0], "two": shares[1]}, targets)
    found = {row.arm: row.value for row in classes.evidence if (row.quantity, row.versus) == ("auroc", None)}
    oracle = (roc_auc_score(targets, each, multi_class="ovr") for each in shares)
    assert found == pytest.approx(dict(zip(("one", "two"), oracle, strict=True)), abs=1e-9)


def test_files_with_columns_in_any_order_give_what_arrays_give(tmp_path: Path) -> None:
    names, turned = ["cat", "dog", "owl"], [2, 0, 1]
    order = RNG.permutation(N)
    labels = csv(tmp_path / "labels.csv", names, LABELS)
    files = {
        "good": csv(
            tmp_path / "g.csv", [names[c] for c in turned], expit(GOOD)[order][:, turned], [IDS[row] for row in order]
        ),
        "bad": {"scores": BAD, "ids": np.array(IDS), "scale": np.array(["logit"]), "classes": np.array(names)},
    }
    found = evaluate(files, labels, kind="multilabel")
    same = evaluate({"good": GOOD, "bad": BAD}, {"item": IDS, "label": LABELS}, kind="multilabel", scale="logit")
    values = [
        [row.value for row in each.evidence if row.quantity == "binary_log_loss" and row.versus is None]
        for each in (found, same)
    ]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-9)


def test_one_target_needs_no_name_and_rows_apart_choose(tmp_path: Path) -> None:
    splits = ["val" if row % 3 == 0 else "test" for row in range(N)]
    labels = csv(tmp_path / "labels.csv", ["age"], NUMBERS[:, :1], split=splits)
    judgement = evaluate(
        {"near": csv(tmp_path / "a.csv", ["predicted"], NEAR[:, :1]), "far": FAR[:, 0]}, labels, kind="regression"
    )
    assert judgement.case.task.classes == ("age",)
    assert len(judgement.case.items) == splits.count("test")
    assert judgement.case.selected_on == "the selection rows"


def test_groups_are_clusters(tmp_path: Path) -> None:
    groups = [f"g{row // 9}" for row in range(N)]
    judgement = evaluate({"near": NEAR, "far": FAR}, NUMBERS, kind="regression", groups=groups)
    (row,) = [row for row in judgement.evidence if row.quantity == "squared_error" and row.versus == "far"]
    assert row.provenance["groups"] == 10


BROKEN = NUMBERS.copy()
BROKEN[3, 1] = np.nan
NAMED = [["x"] * (1 + row % 2) for row in range(N)]


@pytest.mark.parametrize(
    ("scores", "labels", "settings", "said"),
    [
        (GOOD, LABELS * 2, {"kind": "multilabel"}, r"(?s)labels are neither 0 nor 1.*items 0"),
        (GOOD, LABELS, {"kind": "multilabel"}, r"(?s)scale of predictions 'a' is missing.*sigmoid"),
        (GOOD[:, :2], LABELS, {"kind": "multilabel", "scale": "logit"}, "different numbers of columns"),
        (NEAR, BROKEN, {"kind": "regression"}, r"(?s)1 targets are no finite numbers.*items 3; columns 1|items 3"),
        (BROKEN, NUMBERS, {"kind": "regression"}, r"(?s)NaN or infinity.*items 3"),
        (NEAR, NUMBERS, {"kind": "regression", "scale": "logit"}, "no numbers of a regression"),
        (NEAR, NUMBERS, {"kind": "regression", "metric": "accuracy"}, "does not hold for a regression task"),
        (NEAR, NUMBERS, {"kind": "regresion"}, r"(?s)unknown kind of task.*regression"),
        (NEAR, NUMBERS, {"kinds": "regression"}, r"(?s)unknown setting 'kinds'.*kind"),
        (NEAR, LABELS[:, 0].astype(str), {"kind": "regression"}, "have another form"),
        (GOOD, NAMED, {"kind": "multilabel", "scale": "logit"}, "(?s)rows of different lengths.*MultiLabelBinarizer"),
        (GOOD, {"item": IDS, "label": NAMED}, {"kind": "multilabel", "scale": "logit"}, "rows of different lengths"),
        (GOOD, NAMED, {"scale": "logit"}, "(?s)rows of different lengths.*one label an item"),
    ],
)
def test_bad_input_is_one_message(scores: Any, labels: Any, settings: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        evaluate({"a": scores, "b": scores}, labels, **settings)


def test_text_in_a_column_of_numbers_and_columns_without_partner_are_named(tmp_path: Path) -> None:
    good = csv(tmp_path / "a.csv", ["x", "y"], NEAR)
    bad = csv(tmp_path / "labels.csv", ["x", "z"], NUMBERS)
    with pytest.raises(UserError, match=r"(?s)different columns.*without its partner: y, z"):
        evaluate({"a": good}, bad, kind="regression")
    Path(bad).write_text("item,x,y\ni0,1,tall\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"(?s)no number.*column 'y', row 1"):
        evaluate({"a": good}, bad, kind="regression")


def test_a_label_that_never_occurs_leaves_the_rest_judged() -> None:
    silent = LABELS.copy()
    silent[:, 1] = 0
    judgement = evaluate({"good": GOOD, "bad": BAD}, silent, kind="multilabel", scale="logit")
    assert all(np.isfinite(row.value) for row in judgement.evidence if row.quantity == "macro_average_precision")


FLAGS = {"item": ["a", "b", "c"], "x": [0, 1, 1], "y": [1, 1, 0]}


@pytest.mark.parametrize(
    ("labels", "hint"),
    [
        (FLAGS, "--task multilabel"),
        (np.array([[0, 1], [1, 1], [1, 0]]), "--task multilabel"),
        ([[0, 1], [0, 1], [1, 0]], "one label an item where one holds always"),
        ({"item": ["a", "b", "c"], "price": [1.5, 2, 3]}, "--task regression"),
        ([[0.5, 1], [2, 1], [1, 0]], "--task regression"),
        ({"item": ["a", "b", "c"], "kind": ["x", "y", "y"]}, "rename the column"),
    ],
)
def test_who_forgets_the_kind_of_task_is_told_which_one_the_labels_look_like(labels, hint, tmp_path: Path):
    given = [labels]
    if isinstance(labels, dict):
        path = tmp_path / "labels.csv"
        rows = zip(*labels.values(), strict=True)
        path.write_text("\n".join(",".join(map(str, row)) for row in [tuple(labels), *rows]))
        given.append(path)
    for each in given:
        with pytest.raises(UserError) as found:
            evaluate({"m": np.full((3, 2), 0.4)}, each)
        assert hint in str(found.value.hint)
        assert ("--task" in str(found.value.hint)) == (hint != "rename the column")


def test_rows_within_0_and_1_that_do_not_sum_to_1_may_be_labels_that_hold_together():
    scores = np.array([[0.2, 0.4], [0.9, 0.8], [0.5, 0.1]])
    with pytest.raises(UserError, match="--task multilabel"):
        evaluate({"m": scores}, [0, 1, 1])
    with pytest.raises(UserError) as found:
        evaluate({"m": 3 * scores}, [0, 1, 1])
    assert "multilabel" not in str(found.value)
