"""What a file rounds is read as rounded, and scores that show their scale are not taken for another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from transfuse.errors import UserError
from transfuse.evaluation.elsewhere.files import Labels, Scores, read_predictions
from transfuse.evaluation.elsewhere.join import items_of, table_of
from transfuse.evaluation.elsewhere.rounded import distributions, half_digit, note, restored
from transfuse.evaluation.elsewhere.unions import union
from transfuse.types import Scale

CLASSES, STRANGE = ("a", "b", "c"), ("p_a", "p_b", "p_c")
GENERATOR = np.random.default_rng(5)
TARGETS = GENERATOR.integers(0, 3, 90)
LOGITS = GENERATOR.normal(size=(90, 3)) + 1.5 * np.eye(3)[TARGETS]
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def written(path: Path, scores: np.ndarray, form: str = "{:.17g}") -> Path:
    rows = [f"i{row}," + ",".join(form.format(cell) for cell in cells) for row, cells in enumerate(scores)]
    path.write_text("item,a,b,c\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def loss(source: object, scale: Scale | None = None) -> float:
    labels = Labels(tuple(f"i{row}" for row in range(90)), tuple("abc"[target] for target in TARGETS))
    read = read_predictions("x", source)
    table = table_of(read, labels, items_of(labels, CLASSES, None), CLASSES, scale)
    return float(-np.log(table.probs[0][np.arange(90), TARGETS]).mean())


def test_a_scale_is_said_of_those_files_that_do_not_show_theirs(tmp_path: Path) -> None:
    shares, raw = written(tmp_path / "p.csv", PROBABILITIES), written(tmp_path / "z.csv", LOGITS)
    assert loss(shares, "logit") == loss(shares) == pytest.approx(loss(raw, "logit"), abs=1e-9)


def test_rounded_probabilities_are_judged_as_what_they_were(tmp_path: Path) -> None:
    exact = loss(written(tmp_path / "p.csv", PROBABILITIES))
    sharp = PROBABILITIES**4 / (PROBABILITIES**4).sum(axis=1, keepdims=True)
    rounded = written(tmp_path / "r.csv", sharp, "{:.2f}")
    assert (np.round(sharp, 2)[np.arange(90), TARGETS] == 0).any()
    assert loss(rounded) == pytest.approx(exact, abs=0.04)


def test_what_was_made_of_rounded_rows_is_told() -> None:
    rows = np.array([[[0.33, 0.33, 0.33], [1.0, 0.0, 0.0]]])
    assert note(rows, 0.005) == (
        "its probabilities are rounded to 0.01: rows are divided by their sums, and 2 zeros count as 0.0025",
    )
    np.testing.assert_allclose(restored(rows, 0.005).sum(axis=2), 1.0, rtol=1e-12)
    np.testing.assert_allclose(restored(rows, 0.005)[0, 1, 1], 0.0025 / 1.005)


@pytest.mark.parametrize("rows", [[[1.0, 0.0], [0.5, 0.5]], [[0.4, 0.5], [0.5, 0.5]], [[1.01, -0.01], [0.5, 0.49]]])
def test_rows_that_show_no_rounding_stay(rows: list[list[float]]) -> None:
    scores = np.array([rows])
    assert restored(scores, 0.005) is scores and note(scores, 0.005) == ()


@pytest.mark.parametrize(
    ("cells", "half"), [(["0.25", "1", "0.5"], 0.005), (["1", "0"], 0), (["1e-3"], 0), (["0.1234567"], 0), (["nan"], 0)]
)
def test_half_a_digit_is_what_a_file_prints(cells: list[str], half: float) -> None:
    assert half_digit(cells) == half


def test_sums_far_off_need_a_word(tmp_path: Path) -> None:
    tens = written(tmp_path / "r.csv", PROBABILITIES, "{:.1f}")
    assert not distributions(np.round(PROBABILITIES, 1)[None], 0.05)
    with pytest.raises(UserError, match=r"scale of predictions 'x' is missing(.|\n)*'probability' for rounded"):
        loss(tens)
    assert loss(tens, "probability") < 1.0
    with pytest.raises(UserError, match="are no probabilities"):
        loss(written(tmp_path / "c.csv", 100 * PROBABILITIES), "probability")


def test_ids_of_another_spelling_are_shown() -> None:
    arrays = {"scores": PROBABILITIES, "ids": [f"photos/i{row}.jpg" for row in range(90)], "classes": list(CLASSES)}
    with pytest.raises(UserError, match=r"90 labelled items(.|\n)*here they are called photos/i0\.jpg"):
        loss(arrays)


def test_strange_columns_are_no_way_out_of_one_another() -> None:
    named = [Scores(str(names), ("s0",), PROBABILITIES[None], None, None, names) for names in (CLASSES, STRANGE)]
    with pytest.raises(UserError, match=r"unknown class columns p_a, p_b, p_c\n.*\n  expected: some of a, b, c\n"):
        union(named, CLASSES, {})
