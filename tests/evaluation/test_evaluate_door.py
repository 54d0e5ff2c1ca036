from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation.judged import CLASSES, items, predictions
from transfuse.errors import UserError
from transfuse.evaluation.elsewhere.door import BY_ORDER, evaluate, set_up
from transfuse.evaluation.temperature import crossfit
from transfuse.evaluation.verdict import Judgement, record
from transfuse.types import Claim, Evidence

KNOWN = items(300)


def scores(name: str, skill: float, runs: int = 3) -> np.ndarray:
    return predictions(name, KNOWN, skill, runs).scores


def csv_of(folder: Path, name: str, table: np.ndarray, ids: tuple[str, ...]) -> Path:
    path = folder / f"{name}.csv"
    lines = [",".join(["item", *CLASSES])]
    lines += [",".join([item, *(f"{cell:.17g}" for cell in row)]) for item, row in zip(ids, table, strict=True)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def labels_csv(folder: Path, split: list[str] | None = None) -> Path:
    path = folder / "labels.csv"
    lines = ["item,label" + (",split" if split else "")]
    for row, item in enumerate(KNOWN.ids):
        lines.append(f"{item},{CLASSES[KNOWN.targets[row]]}" + (f",{split[row]}" if split else ""))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def row(found: Judgement, name: str) -> Evidence:
    return next(each for each in found.evidence if each.id == name)


def primary(found: Judgement) -> dict[tuple[str, str], Claim]:
    return {(claim.arm, claim.versus): claim for claim in found.verdict.claims if claim.quantity == "log_loss"}


def test_arrays_by_default_every_pair_under_holm() -> None:
    given = {"good": scores("good", 3.0), "fair": scores("fair", 2.0), "poor": scores("poor", 1.0)}
    found = evaluate(given, KNOWN.targets, scale="logit")
    claims = primary(found)
    assert list(claims) == [("good", "fair"), ("good", "poor"), ("fair", "poor")]
    assert all(claim.status == "better" for claim in claims.values())
    assert row(found, "log_loss:good-vs-poor:test:clean").family == "3 pairs in log_loss, Holm"
    assert found.verdict.recommendation.arm == "good"
    assert "judged rows themselves" in found.verdict.recommendation.why


def test_a_candidate_meets_its_opponents_only() -> None:
    given = {"good": scores("good", 3.0), "fair": scores("fair", 2.0), "poor": scores("poor", 1.0)}
    found = evaluate(given, KNOWN.targets, scale="logit", candidate="good", versus="fair")
    assert list(primary(found)) == [("good", "fair")]
    # Where another arm ships than the one that was asked about, it is held against the best of the others too.
    found = evaluate(given, KNOWN.targets, scale="logit", candidate="poor", versus="fair")
    assert found.verdict.recommendation.arm == "good" and list(primary(found)) == [("poor", "fair"), ("good", "fair")]
    backwards = dict(reversed(given.items()))
    assert list(primary(evaluate(backwards, KNOWN.targets, scale="logit", candidate="poor"))) == list(
        primary(evaluate(given, KNOWN.targets, scale="logit", candidate="poor"))
    )
    found = evaluate(given, KNOWN.targets, scale="logit", candidate="poor")
    assert list(primary(found)) == [("poor", "good"), ("poor", "fair"), ("good", "fair")]
    assert [claim.status for claim in primary(found).values()] == ["worse", "worse", "better"]
    assert [flag.flag for flag in found.verdict.flags] == ["worse_than_best_single"]


def test_files_and_arrays_agree(tmp_path: Path) -> None:
    one, two = scores("a", 2.0, 1)[0], scores("b", 3.0, 1)[0]
    order = np.random.default_rng(0).permutation(300)
    npz = tmp_path / "b.npz"
    np.savez(npz, ids=np.array(KNOWN.ids)[order], scores=two[order], scale="logit", classes=CLASSES)
    named = {"a": csv_of(tmp_path, "a", one, KNOWN.ids), "b": npz}
    from_files = evaluate(named, labels_csv(tmp_path), scale="logit")
    columns = {"item": KNOWN.ids, "label": np.array(CLASSES)[KNOWN.targets]}
    from_arrays = evaluate(
        {"a": {"scores": one, "classes": CLASSES}, "b": {"scores": two, "classes": CLASSES}}, columns, scale="logit"
    )
    assert from_files.verdict == from_arrays.verdict
    assert [each.record() for each in from_files.evidence] == [each.record() for each in from_arrays.evidence]


def test_temperatures_are_cross_fitted_by_id() -> None:
    bold = 10.0 * scores("a", 2.0, 1)
    columns = {"item": KNOWN.ids, "label": KNOWN.targets}
    found = evaluate({"a": bold, "b": scores("b", 1.0, 1)}, columns, scale="logit")
    _, temperatures = crossfit(bold[0], KNOWN.targets, "logit", list(KNOWN.ids))
    assert row(found, "temperature:a:test:clean").value == pytest.approx(temperatures.mean())
    before, after = row(found, "log_loss_uncalibrated:a:test:clean").value, row(found, "log_loss:a:test:clean").value
    assert isinstance(before, float) and isinstance(after, float) and after < before


def test_splits_keep_the_choice_apart(tmp_path: Path) -> None:
    split = ["val" if number % 3 == 0 else "test" for number in range(300)]
    named = {
        "a": csv_of(tmp_path, "a", scores("a", 2.0, 1)[0], KNOWN.ids),
        "b": csv_of(tmp_path, "b", scores("b", 3.0, 1)[0], KNOWN.ids),
    }
    found = evaluate(named, labels_csv(tmp_path, split), scale="logit")
    assert row(found, "accuracy:a:test:clean").n == 200
    assert "on the selection rows" in found.verdict.recommendation.why
    with pytest.raises(UserError, match="no item is in the split 'test'"):
        evaluate(named, labels_csv(tmp_path, ["train"] * 300), scale="logit")


def test_a_row_that_is_no_number_is_told_with_its_item_also_where_the_scale_is_not() -> None:
    shares = np.full((300, 4), 1 / 4)
    broken = shares.copy()
    broken[7, 1] = np.nan
    with pytest.raises(UserError, match=r"NaN or infinity(.|\n)*items 7\n"):
        evaluate({"a": shares, "b": broken}, KNOWN.targets)


def test_groups_reach_the_intervals() -> None:
    given = {"a": scores("a", 2.0), "b": scores("b", 3.0)}
    found = evaluate(given, KNOWN.targets, scale="logit", groups=[f"g{number // 3}" for number in range(300)])
    assert row(found, "log_loss:b-vs-a:test:clean").provenance["groups"] == 100


def test_one_set_alone_is_described() -> None:
    found = evaluate({"a": scores("a", 2.0)}, KNOWN.targets, scale="logit")
    assert (found.verdict.recommendation.arm, found.verdict.claims) == ("a", ())
    assert found.verdict.recommendation.why == "a is the only one that could ship, so nothing was chosen."


def test_margin_is_used() -> None:
    given = {"a": scores("a", 2.0), "b": scores("b", 3.0)}
    assert primary(evaluate(given, KNOWN.targets, scale="logit", margin=0.0))["b", "a"].status == "better"
    wide = evaluate(given, KNOWN.targets, scale="logit", margin=5.0)
    assert (wide.margin, primary(wide)["b", "a"].status) == (5.0, "equivalent")


def test_the_record_says_what_was_judged() -> None:
    found = evaluate({"a": scores("a", 2.0), "b": scores("b", 3.0)}, KNOWN.targets, scale="logit", margin=0.01)
    made = record(found, found.arms, {}, set_up(found, version="1.2"))
    assert [arm["name"] for arm in made["arms"]] == ["a", "b"]
    assert made["setup"]["margin"] == {"rule": 0.01, "value": 0.01, "metric": "log_loss"}
    assert made["setup"]["data"]["judged"] == 300
    assert (made["setup"]["runs"], made["setup"]["version"]) == (["s0", "s1", "s2"], "1.2")


def test_rows_that_name_no_item_are_said_to_follow_the_labels(tmp_path: Path) -> None:
    one, two = scores("a", 2.0, 1), scores("b", 3.0, 1)
    by_name = {"scores": two[0], "ids": KNOWN.ids}
    found = evaluate({"a": one, "b": by_name}, {"item": KNOWN.ids, "label": KNOWN.targets}, scale="logit")
    assert {arm.name: arm.notes for arm in found.arms} == {"a": (BY_ORDER,), "b": ()}
    assert f"a: {BY_ORDER}" in set_up(found, version="1")["data"]["notes"]
    plain = evaluate({"a": one, "b": two}, KNOWN.targets, scale="logit")
    assert not any(arm.notes for arm in plain.arms)


def test_what_predictions_alone_cannot_tell_is_said() -> None:
    found = evaluate({"a": scores("a", 2.0), "b": scores("b", 3.0)}, KNOWN.targets, scale="logit")
    missing = {each["what"]: each["why"] for each in record(found, found.arms, {}, {})["not_measured"]}
    assert "items and their features" in missing["rows to judge that training rows nearly repeat"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidate": "c"}, "unknown predictions 'c'"),
        ({"candidate": "a", "versus": ["d"]}, "unknown predictions 'd'"),
        ({"versus": "a"}, "needs a candidate"),
        ({"candidate": "a", "versus": "a"}, "with itself"),
        ({"margin": -1.0}, "margin"),
        ({"scale": "value"}, "cannot become probabilities"),
        ({"scale": None}, "scale of predictions 'a' is missing"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    given = {"a": scores("a", 2.0), "b": scores("b", 3.0)}
    with pytest.raises(UserError, match=message):
        evaluate(given, KNOWN.targets, **{"scale": "logit", **options})  # pyright: ignore[reportArgumentType]


def test_nothing_and_nameless_predictions_are_refused() -> None:
    with pytest.raises(UserError, match="no predictions"):
        evaluate({}, KNOWN.targets)
    with pytest.raises(UserError, match="come by name"):
        evaluate(scores("a", 1.0), KNOWN.targets)


def test_item_scores_of_anything(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=200)
    better = base + 0.3 + 0.2 * rng.normal(size=200)
    path = tmp_path / "scores.csv"
    lines = [f"i{number},base,{base[number]}\ni{number},new,{better[number]}" for number in range(200)]
    path.write_text("item,candidate,score\n" + "\n".join(lines), encoding="utf-8")
    found = evaluate(path, candidate="new")
    claim = found.verdict.claims[0]
    assert (claim.arm, claim.versus, claim.quantity, claim.status) == ("new", "base", "score", "better")
    assert row(found, "score:new-vs-base:test:clean").value == pytest.approx((better - base).mean())
    assert found.verdict.recommendation.arm == "new"
    lower = evaluate({"base": base, "new": better}, candidate="new", direction="lower")
    assert lower.verdict.claims[0].status == "worse"
    assert lower.verdict.recommendation.arm == "base"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": [1.0, np.nan]}, "finite"),
        ({"a": np.zeros((2, 3, 4))}, "need labels"),
        ({"a": [1.0, 2.0], "b": [1.0]}, "different numbers"),
        ({}, "per-item scores"),
        ([1.0, 2.0], "per-item scores"),
    ],
)
def test_broken_item_scores(given: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluate(given)


@pytest.mark.parametrize(
    ("labels", "settings"),
    [(None, {"metric": "brier"}), (None, {"scale": "logit"}), (KNOWN.targets, {"direction": "lower"})],
)
def test_settings_that_would_change_nothing_are_refused(labels: object, settings: dict[str, str]) -> None:
    with pytest.raises(UserError, match=f"{next(iter(settings))}, which would change nothing"):
        evaluate({"a": scores("a", 2.0)}, labels, **settings)  # pyright: ignore[reportArgumentType]


def test_item_scores_with_holes_and_unknown_directions(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("item,candidate,score\nx,a,1\ny,a,2\nx,b,3\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"'b' has no score for 1 items(.|\n)*y"):
        evaluate(path)
    with pytest.raises(UserError, match="unknown direction"):
        evaluate({"a": [1.0, 2.0]}, direction="up")  # pyright: ignore[reportArgumentType]


def test_ragged_lists_of_scores_are_one_message():
    with pytest.raises(UserError, match=r"(?s)rows of different lengths.*predictions 'm'.*\[N, C\]"):
        evaluate({"m": [[0.1, 0.9], [0.3]]}, [0, 1])
