from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from files.test_arrays import npy_bytes
from transfuse.errors import UserError
from transfuse.evaluation.elsewhere.files import read_csv, read_item_scores, read_labels, read_predictions
from transfuse.evaluation.elsewhere.join import class_names, items_of, known_scale, table_of, with_groups


def written(folder: Path, text: str, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_with_groups_and_splits(tmp_path: Path) -> None:
    found = read_labels(written(tmp_path, "\ufeffitem, label,group,split\na,cat,g1,test\nb,dog,g2,val\n\n"))
    assert (found.ids, found.labels) == (("a", "b"), ("cat", "dog"))
    assert (found.groups, found.splits) == (("g1", "g2"), ("test", "val"))


def test_labels_from_arrays_and_columns() -> None:
    assert read_labels(np.array([2, 0])).ids == ("0", "1")
    assert read_labels([2.0, 0.0]).labels == ("2", "0")
    found = read_labels({"item": [7, 8], "label": ["x", "y"], "group": [1, 1]})
    assert (found.ids, found.labels, found.groups) == (("7", "8"), ("x", "y"), ("1", "1"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no data rows"),
        ("item,label\n", "no data rows"),
        (
            "id,label\na,b\n",
            "(?s)'item' is missing.*columns id, label.*rename the column that plays this part to 'item'",
        ),
        ("item,label\na,b,c\n", "(?s)differ in length.*2 cells.*3 in data row 1"),
        ("item,item\na,b\n", "names a column twice"),
        ("item,label\na,x\na,y\n", r"unique(.|\n)*got: more than once: a$"),
        ("item,label\na,\n", "no label"),
    ],
)
def test_broken_label_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_labels(written(tmp_path, text))


def test_absent_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="file not found"):
        read_csv(tmp_path / "none.csv", ())
    path = tmp_path / "binary.csv"
    path.write_bytes(b"\xff\xfe\x00item")
    with pytest.raises(UserError, match="UTF-8"):
        read_csv(path, ())
    with pytest.raises(UserError, match="file not found"):
        read_predictions("a", tmp_path / "none.npz")


def test_predictions_of_several_seeds(tmp_path: Path) -> None:
    found = read_predictions("a", written(tmp_path, "item,seed,cat,dog\nx,0,1,2\ny,0,3,4\ny,1,7,8\nx,1,5,6\n"))
    assert (found.runs, found.ids, found.classes) == (("s0", "s1"), ("x", "y"), ("cat", "dog"))
    assert found.scores.tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item,cat\nx,1\n", "one column a class"),
        ("item,cat,label\nx,1,2\n", "'label' is no class column"),
        ("item,cat,dog\nx,1,high\n", r"no number(.|\n)*row 1(.|\n)*high"),
        ("item,cat,dog\nx,1,2\nx,3,4\n", r"more than once(.|\n)*x"),
        ("item,seed,cat,dog\nx,0,1,2\ny,1,3,4\n", r"same items(.|\n)*x, y"),
    ],
)
def test_broken_prediction_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_predictions("a", written(tmp_path, text))


def test_npz_in_long_and_in_stacked_form(tmp_path: Path) -> None:
    scores = np.arange(12.0).reshape(2, 3, 2)
    long, stacked = tmp_path / "long.npz", tmp_path / "stacked.npz"
    np.savez(long, scores=scores.reshape(6, 2), ids=list("abcabc"), seed=[4, 4, 4, 9, 9, 9], scale="logit")
    np.savez(stacked, scores=scores, ids=list("abc"), seed=["s4", "s9"], scale="logit", classes=["u", "v"])
    one, two = read_predictions("a", long), read_predictions("a", stacked)
    assert (one.runs, one.ids, one.scale) == (two.runs, two.ids, two.scale) == (("s4", "s9"), ("a", "b", "c"), "logit")
    np.testing.assert_array_equal(one.scores, two.scores)
    assert (one.classes, two.classes) == (None, ("u", "v"))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"logits": [[1.0, 2.0]]}, "no array 'scores'"),
        ({"scores": [1.0, 2.0]}, "must be numbers"),
        ({"scores": [["a", "b"]]}, "must be numbers"),
        ({"scores": [[1.0, 2.0]], "ids": ["a", "b"]}, "differ in number"),
        ({"scores": [[1.0, 2.0]], "scale": "logits"}, "unknown scale"),
        ({"scores": [[1.0, 2.0]], "classes": ["a"]}, "differ in number"),
        ({"scores": [[1.0, 2.0]], "classes": ["a", "a"]}, "more than once"),
        ({"scores": [[[1.0, 2.0]]], "seed": [0, 1]}, "do not match"),
        ({"scores": [[[1.0, 2.0]], [[1.0, 2.0]]], "seed": [0, 0]}, "more than once"),
    ],
)
def test_broken_arrays(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_predictions("a", arrays)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3, 2)])
def test_an_npy_file_is_an_array(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path, scores = tmp_path / "p.npy", np.random.default_rng(0).normal(size=shape)
    np.save(path, scores)
    from_file, from_array = read_predictions("a", path), read_predictions("a", scores)
    np.testing.assert_array_equal(from_file.scores, from_array.scores)
    assert (from_file.runs, from_file.ids) == (from_array.runs, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy_bytes(np.array([{"a": 1}], dtype=object)), "Python objects refused"),
        (npy_bytes(np.zeros((3, 2)))[:-8], "header and length disagree"),
        (npy_bytes(np.zeros(3)), "must be numbers"),
        (b"item,a,b", "damaged, or no npy file"),
    ],
)
def test_a_bad_npy_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "p.npy"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_predictions("a", path)


def test_npz_with_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "objects.npz"
    np.savez(path, scores=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError):
        read_predictions("a", path)


def test_classes_are_joined_by_name(tmp_path: Path) -> None:
    first = read_predictions("a", written(tmp_path, "item,cat,dog\nx,5,1\ny,1,5\n", "a.csv"))
    turned = read_predictions("b", written(tmp_path, "item,dog,cat\ny,5,1\nx,1,5\n", "b.csv"))
    classes = class_names([first, turned])
    labels = read_labels({"item": ["x", "y"], "label": ["cat", "dog"]})
    items = items_of(labels, classes, None)
    one, two = (table_of(each, labels, items, classes, "logit") for each in (first, turned))
    np.testing.assert_allclose(one.probs, two.probs)
    assert items.targets.tolist() == [0, 1]


def test_unknown_classes_offer_the_nearest(tmp_path: Path) -> None:
    first = read_predictions("a", written(tmp_path, "item,cat,dog\nx,1,2\n", "a.csv"))
    other = read_predictions("b", written(tmp_path, "item,cats,dog\nx,1,2\n", "b.csv"))
    with pytest.raises(UserError, match=r"unknown class column 'cats'(.|\n)*cat"):
        class_names([first, other])
    with pytest.raises(UserError, match=r"unknown class 'dogs'(.|\n)*dog"):
        items_of(read_labels({"item": ["x"], "label": ["dogs"]}), ("cat", "dog"), None)
    with pytest.raises(UserError, match="different numbers of class columns"):
        class_names([first, read_predictions("c", np.zeros((1, 3)))])


def test_missing_and_unlabelled_items_are_listed() -> None:
    scores = read_predictions("a", {"scores": np.zeros((2, 2)), "ids": ["x", "z"]})
    labels = read_labels({"item": ["x", "y"], "label": [0, 1]})
    items = items_of(labels, ("0", "1"), None)
    with pytest.raises(UserError, match=r"1 labelled item without predictions(.|\n)*y"):
        table_of(scores, labels, items, ("0", "1"), "logit")
    fewer = read_labels({"item": ["x"], "label": [0]})
    with pytest.raises(UserError, match=r"1 predicted item without a label(.|\n)*z"):
        table_of(scores, fewer, items_of(fewer, ("0", "1"), None), ("0", "1"), "logit")
    with pytest.raises(UserError, match="differ in number"):
        table_of(read_predictions("a", np.zeros((3, 2))), labels, items, ("0", "1"), "logit")


def test_scale_is_known_given_or_evident() -> None:
    even, bold = read_predictions("a", np.full((3, 2), 0.5)), read_predictions("a", np.full((3, 2), 2.0))
    named = read_predictions("a", {"scores": np.full((3, 2), 0.5), "scale": "logit"})
    assert (known_scale(even, None), known_scale(bold, "logit"), known_scale(named, None)) == (
        "probability",
        "logit",
        "logit",
    )
    with pytest.raises(UserError, match="scale of predictions 'a' is missing"):
        known_scale(bold, None)
    with pytest.raises(UserError, match="say logit, but scale probability"):
        known_scale(named, "probability")


@pytest.mark.parametrize(("cell", "message"), [("nan", "NaN"), ("0.9", "no probabilities")])
def test_bad_rows_are_named(tmp_path: Path, cell: str, message: str) -> None:
    scores = read_predictions("a", written(tmp_path, f"item,cat,dog\nx,0.5,0.5\ny,{cell},0.5\n"))
    labels = read_labels({"item": ["x", "y"], "label": ["cat", "dog"]})
    with pytest.raises(UserError, match=rf"{message}(.|\n)*items y"):
        table_of(scores, labels, items_of(labels, ("cat", "dog"), None), ("cat", "dog"), "probability")


def test_groups_from_outside() -> None:
    labels = read_labels([0, 1, 0])
    assert with_groups(labels, None) is labels
    assert with_groups(labels, ["a", "a", "b"]).groups == ("a", "a", "b")
    assert with_groups(labels, {"0": 1, "1": 1, "2": 2}).groups == ("1", "1", "2")
    with pytest.raises(UserError, match=r"no group(.|\n)*2"):
        with_groups(labels, {"0": 1, "1": 1})
    with pytest.raises(UserError, match="differ in number"):
        with_groups(labels, ["a"])


def test_groups_stay_whole_in_the_folds_of_temperature() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 60)
    scores = read_predictions("a", np.eye(3)[targets] + rng.normal(size=(60, 3)))
    labels = with_groups(read_labels(targets), [f"g{row // 6}" for row in range(60)])
    items = items_of(labels, ("0", "1", "2"), None)
    found = table_of(scores, labels, items, ("0", "1", "2"), "logit")
    assert found.temperatures is not None
    by_group = found.temperatures.reshape(10, 6)
    assert (by_group == by_group[:, :1]).all()
    assert len(np.unique(by_group)) > 1


def test_item_scores(tmp_path: Path) -> None:
    found = read_item_scores(written(tmp_path, "item,candidate,score\nx,a,1\nx,b,2\ny,a,3\n"))
    assert found == {"a": {"x": 1.0, "y": 3.0}, "b": {"x": 2.0}}
    for text, message in (("x,a,1\nx,a,2\n", "two scores"), ("x,a,nan\n", "not finite"), ("x,a,good\n", "no number")):
        with pytest.raises(UserError, match=message):
            read_item_scores(written(tmp_path, "item,candidate,score\n" + text))


@pytest.mark.parametrize(
    ("text", "kind", "hint"),
    [
        ("item,p\na,0.2\nb,0.9\n", "multiclass", "where 'p' is p, the other is 1 − p"),
        ("item,price\na,120\nb,90\n", "multiclass", "--task regression"),
        ("item,prediction\na,cat\nb,dog\n", "multiclass", "answers alone are judged as scores of items"),
        ("item,cat,dog\na,1,2\na,2,1\n", "multiclass", "a column 'seed'"),
        ("item,seed,cat,dog\na,0,1,2\nb,0,2,1\na,1,1,2\n", "multiclass", "complete this seed"),
    ],
)
def test_predictions_that_cannot_be_read_are_told_with_what_to_give(
    tmp_path: Path, text: str, kind: Any, hint: str
) -> None:
    with pytest.raises(UserError) as refused:
        read_predictions("one", written(tmp_path, text), kind)
    assert hint in str(refused.value)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("item,cat,dog\na,20,80\nb,90,10\n", "multiclass", "divide percent by 100"),
        ("item,cat,dog\na,20,90\nb,90,60\n", "multilabel", "divide percent by 100; scale='logit'"),
        ("item,cat,dog\na,0.2,0.3\nb,0.9,0.05\n", "multiclass", "and no column for owl"),
    ],
)
def test_percent_and_a_class_without_a_column_are_seen(tmp_path: Path, text: str, kind: Any, said: str) -> None:
    """As logits both would be judged for what they are not."""
    with pytest.raises(UserError) as refused:
        known_scale(read_predictions("one", written(tmp_path, text), kind), None, kind, ("cat", "dog", "owl"))
    assert said in str(refused.value)
