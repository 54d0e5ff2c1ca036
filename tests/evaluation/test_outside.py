from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from evaluation.full_case import full_case
from evaluation.judged import changed
from transfuse.errors import UserError
from transfuse.evaluation.outside import (
    average_precision,
    average_precision_outside,
    false_positive_rate,
    measured,
    scores,
)
from transfuse.evaluation.questions import outside as question
from transfuse.evaluation.statistics.rank import auroc

MEASURES = [auroc, average_precision, average_precision_outside, false_positive_rate]


def two(seed: int, inside: int = 60, outside: int = 40, digits: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties."""
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(1, 1, inside), digits), np.round(rng.normal(0, 1, outside), digits)


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 40), st.integers(0, 3))
@settings(deadline=None, max_examples=30)
def test_parity_with_scikit_learn(seed: int, inside: int, outside: int, digits: int) -> None:
    ours, theirs = two(seed, inside, outside, digits)
    truth, both = np.r_[np.ones(inside), np.zeros(outside)], np.r_[ours, theirs]
    assert auroc(ours, theirs).value == pytest.approx(roc_auc_score(truth, both))
    assert average_precision(ours, theirs).value == pytest.approx(average_precision_score(truth, both))
    assert average_precision_outside(ours, theirs).value == pytest.approx(average_precision_score(1 - truth, -both))
    false, true, _ = roc_curve(truth, both, drop_intermediate=False)
    assert false_positive_rate(ours, theirs).value == pytest.approx(false[true >= 0.95 - 1e-12].min())


@pytest.mark.parametrize("measure", MEASURES)
def test_influences_sum_to_nothing(measure: object) -> None:
    found = measure(*two(0))  # pyright: ignore[reportCallIssue]
    assert found.inside.mean() == pytest.approx(0.0, abs=1e-12)
    assert found.outside.mean() == pytest.approx(0.0, abs=1e-12)


def test_delong_by_every_pair() -> None:
    ours, theirs = two(1)
    wins = (ours[:, None] > theirs).astype(float) + 0.5 * (ours[:, None] == theirs)
    found = measured(auroc, ours[None], theirs[None], ("s0",))
    variance = wins.mean(axis=1).var(ddof=1) / len(ours) + wins.mean(axis=0).var(ddof=1) / len(theirs)
    assert isinstance(found.value, float) and found.value == pytest.approx(wins.mean())
    assert found.low is not None and found.high is not None
    # Satterthwaite's degrees of freedom lie between those of either side and of both.
    assert 1.96 < (found.high - found.low) / 2 / variance**0.5 < 2.05


@pytest.mark.parametrize("measure", MEASURES)
def test_intervals_spread_as_resamples_do(measure: object) -> None:
    ours, theirs = two(2, 600, 400, digits=9)
    found = measured(measure, ours[None], theirs[None], ("s0",))  # pyright: ignore[reportArgumentType]
    rng, drawn = np.random.default_rng(0), []
    for _ in range(250):
        picks = rng.choice(ours, 600), rng.choice(theirs, 400)
        drawn.append(measure(*picks).value)  # pyright: ignore[reportCallIssue]
    assert found.low is not None and found.high is not None
    rel = 0.35 if measure is false_positive_rate else 0.2
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(np.std(drawn), rel=rel)


def test_perfect_separation_has_its_value_and_no_interval() -> None:
    found = measured(auroc, np.array([[2.0, 3.0]]), np.array([[0.0, 1.0]]), ("s0",))
    assert (found.value, found.low) == (1.0, None)
    assert "fare alike" in found.method
    apart = np.array([2.0, 3.0]), np.array([0.0, 1.0])
    assert [measure(*apart).value for measure in MEASURES] == [1.0, 1.0, 1.0, 0.0]


def test_constant_scores_tell_nothing() -> None:
    same = np.ones(10), np.ones(30)
    assert auroc(*same).value == 0.5
    assert average_precision(*same).value == pytest.approx(0.25)
    assert false_positive_rate(*same).value == 1.0


def test_runs_and_groups_widen() -> None:
    ours, theirs = two(3, 200, 200, digits=9)
    alone = measured(auroc, ours[None], theirs[None], ("s0",))
    apart = measured(auroc, np.stack([ours, ours + 1.5]), np.stack([theirs, theirs]), ("s0", "s1"))
    grouped = measured(auroc, np.repeat(ours, 2)[None], theirs[None], ("s0",), [f"g{i // 2}" for i in range(400)])
    double = measured(auroc, np.repeat(ours, 2)[None], theirs[None], ("s0",))

    def width(found: object) -> float:
        return found.high - found.low  # pyright: ignore[reportAttributeAccessIssue]

    assert width(apart) > width(alone)
    assert width(grouped) > width(double)
    assert width(grouped) == pytest.approx(width(alone), rel=0.02)


def test_scores_are_those_of_the_books_and_need_logits_where_they_do() -> None:
    case = full_case(runs=1)
    table = case.tables["concat"]
    found = scores(table)
    assert table.logits is not None
    assert found["energy"] == pytest.approx(logsumexp(table.logits, axis=2))
    assert found["max_logit"] == pytest.approx(table.logits.max(axis=2))
    assert found["max_probability"] == pytest.approx(table.probs.max(axis=2))
    assert found["entropy"] == pytest.approx((table.probs * np.log(table.probs)).sum(axis=2))
    bare = type(table)(table.arm, table.items, table.probs, table.runs)
    assert set(scores(bare)) == {"max_probability", "entropy"}


def test_no_items_are_refused() -> None:
    with pytest.raises(UserError, match="both kinds"):
        measured(auroc, np.ones((1, 3)), np.ones((1, 0)), ("s0",))


def test_the_question_names_set_score_and_positive_class() -> None:
    case = full_case()
    rows = question.ask(case)
    assert len({row.id for row in rows}) == len(rows) == 3 * 4 * 4 + 4
    assert {row.condition for row in rows} == {"ood:noise"}
    assert {row.provenance["positive"] for row in rows} == {"inside"}
    row = next(row for row in rows if row.id == "ood_auroc:concat:test:ood:noise:energy")
    inside, outside = (
        scores(table)["energy"] for table in (case.tables["concat"], case.outside["ood:noise"]["concat"])
    )
    truth = np.r_[np.ones(inside.shape[1]), np.zeros(outside.shape[1])]
    each = [roc_auc_score(truth, np.r_[a, b]) for a, b in zip(inside, outside, strict=True)]
    assert row.value == pytest.approx(np.mean(each))
    assert row.provenance["outside_items"] == 90
    assert question.ask(changed(case, outside={})) == []
