"""Predictions from elsewhere over different classes, judged over their union and fused without a model."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy.special import softmax
from typer.testing import CliRunner

import transfuse
from transfuse.doors.cli import app
from transfuse.doors.pooling import with_fusions
from transfuse.errors import UserError

CLASSES = ("ape", "bee", "cow", "dog")
HALVES = (("ape", "bee"), ("cow", "dog"))


def half(number: int, targets: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """What an expert of two classes says of all items: logits, sure where the item is of its classes."""
    rng = np.random.default_rng([seed, number])
    scores = rng.normal(size=(len(targets), 2))
    mine = targets // 2 == number
    scores[mine, targets[mine] % 2] += 4.0
    ids = np.array([f"i{row}" for row in range(len(targets))])
    return {"scores": scores, "ids": ids, "scale": np.array("logit"), "classes": np.array(HALVES[number])}


@pytest.fixture(scope="module")
def world():
    targets = np.random.default_rng(1).integers(0, 4, 240)
    labels = {"item": [f"i{row}" for row in range(240)], "label": [CLASSES[each] for each in targets]}
    return targets, labels, {"left": half(0, targets), "right": half(1, targets)}


def values(study, quantity: str) -> dict[str, float]:
    return {row["arm"]: row["value"] for row in study.evidence if row["quantity"] == quantity and row["versus"] is None}


def test_halves_are_judged_over_the_union_and_fused_without_a_model(world):
    _, labels, given = world
    given = {**given, "both": "outputs/mean_prob", "weighed": {"fuse": "outputs/convex", "of": ["right", "left"]}}
    study = transfuse.evaluate(given, labels)
    accuracy = values(study, "accuracy")
    assert max(accuracy["left"], accuracy["right"]) < 0.75 and min(accuracy["both"], accuracy["weighed"]) > 0.9
    assert values(study, "log_loss")["left"] < np.log(4) + 0.05
    arms = {arm["name"]: arm for arm in study.record["arms"]}
    assert any(
        "left: it knows 2 of 4 classes (not cow, dog)" in note for note in study.record["setup"]["data"]["notes"]
    )
    assert (arms["weighed"]["method"], arms["weighed"]["members"]) == ("outputs/convex", ["right", "left"])
    assert study.record["setup"]["task"]["classes"] == list(CLASSES)


def test_a_pool_is_called_what_it_is_and_is_no_member_of_itself(world):
    _, labels, given = world
    study = transfuse.evaluate({**given, "both": "outputs/mean_prob"}, labels)
    said = study.verdict["recommendation"]
    assert (said["arm"], said["form"]) == ("both", "ensemble")
    assert "Ship both: an ensemble that averages the answers of left and right." in " ".join(str(study).split())
    pairs = {(row["arm"], row["versus"]) for row in study.evidence if row["quantity"] == "disagreement"}
    assert {frozenset(pair) for pair in pairs} == {frozenset({"left", "right"})}
    cheap = transfuse.evaluate({**given, "turn": {"fuse": "outputs/cascade", "cost": {"left": 1, "right": 2}}}, labels)
    assert "Ship turn: a cascade that asks left and right in turn." in " ".join(str(cheap).split())


def test_a_fusion_of_whole_predictions_is_their_mean_and_an_item_helps_never_to_answer_itself(world):
    targets, labels, _ = world
    rng = np.random.default_rng(2)
    a, b = softmax(2 * np.eye(4)[targets] + rng.normal(size=(2, 240, 4)), axis=2)
    given = {"a": a, "b": b, "fused": {"fuse": "outputs/stacking", "penalty": 0.1}}
    labelled = {"item": [str(row) for row in range(240)], "label": [str(each) for each in targets]}
    before = with_fusions(given, labelled, {"scale": "probability"})["fused"]["scores"][0]
    moved = {**labelled, "label": [*labelled["label"][:-1], str((targets[-1] + 1) % 4)]}
    after = with_fusions(given, moved, {"scale": "probability"})["fused"]["scores"][0]
    assert np.array_equal(before[-1], after[-1]) and not np.array_equal(before, after)


def test_rows_of_split_val_alone_fit_a_fusion_where_labels_have_them(world):
    targets, labels, given = world
    splits = ["val" if row % 3 == 0 else "test" for row in range(240)]
    study = transfuse.evaluate({**given, "both": "outputs/convex"}, {**labels, "split": splits})
    assert values(study, "accuracy")["both"] > 0.85
    assert study.record["setup"]["data"]["judged"] == 160


def test_own_names_are_mapped_and_what_stands_for_nothing_is_left(world):
    targets, labels, given = world
    renamed = {**given["left"], "classes": np.array(["Affe", "Biene"])}
    mapped = {"left": {"Affe": "ape", "Biene": "bee"}}
    first = transfuse.evaluate({"left": renamed, "right": given["right"]}, labels, classes=mapped)
    assert values(first, "log_loss") == values(transfuse.evaluate(given, labels), "log_loss")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"left": {"classes": ("ape", "bees")}}, r"unknown class column 'bees'(.|\n)*no label names it(.|\n)*try: bee"),
        ({"both": "outputs/meen_prob"}, "outputs/mean_prob"),
        ({"both": {"fuse": "outputs/mean_prob", "of": ["left", "rigt"]}}, r"unknown predictions 'rigt'(.|\n)*right"),
        ({"both": {"fuse": "outputs/mean_prob", "of": ["left"]}}, "two or more"),
        ({"both": {"fuse": "outputs/cascade", "cost": {"left": 1}}}, "a positive number for each of left, right"),
        ({"both": {"fuse": "features/concat"}}, "fuses no predictions"),
        ({"right": {"scores": np.full((240, 2), np.nan)}}, "NaN or infinity in 240 rows"),
        ({"right": {"ids": np.array(["i0"] * 240)}}, "more than once: i0"),
        ({"right": {"scale": np.array("probability")}}, "rows are no probabilities"),
    ],
)
def test_wrong_ways_are_one_message_with_the_nearest(world, change, told):
    _, labels, given = world
    changed = dict(given)
    for name, facts in change.items():
        changed[name] = {**given[name], **facts} if name in given else facts
    with pytest.raises(UserError, match=told):
        transfuse.evaluate(changed, labels)


def test_fusions_need_classes_and_labels(world):
    with pytest.raises(UserError, match="for tasks of classes"):
        transfuse.evaluate({"a": np.ones((4, 2)), "b": np.ones((4, 2)), "c": "outputs/vote"}, None)


def test_on_the_command_line_a_file_brings_its_mapping_and_a_method_fuses(world, tmp_path, monkeypatch):
    targets, labels, given = world

    def write(name, header, rows):
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])

    for name, own in (("left", ("Affe", "Biene")), ("right", HALVES[1])):
        write(f"{name}.csv", ("item", *own), zip(given[name]["ids"], *given[name]["scores"].T, strict=True))
    write("labels.csv", ("item", "label"), zip(labels["item"], labels["label"], strict=True))
    write("map.csv", ("own", "target"), [("Affe", "ape"), ("Biene", "bee")])
    monkeypatch.chdir(tmp_path)
    words = ["left.csv?classes=map.csv", "right.csv", "both=outputs/mean_prob", "--labels", "labels.csv"]
    result = CliRunner().invoke(app, ["evaluate", *words, "--scale", "logit", "--out", "out"])
    assert result.exit_code == 0, result.output
    assert "both" in result.output and (tmp_path / "out" / "report.html").is_file()
    wrong = CliRunner().invoke(app, ["evaluate", "left.csv", *words[1:], "--scale", "logit"])
    assert isinstance(wrong.exception, UserError) and "unknown class columns Affe, Biene" in str(wrong.exception)
