from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import weightedtau

from evaluation.judged import items as judged_items
from evaluation.judged import judged
from transfuse.evaluation.agreement import rank_rows, regret, tau
from transfuse.evaluation.appraisal import Sources, appraise, tie_groups
from transfuse.evaluation.case import Case, MarginRule
from transfuse.evaluation.material import Material
from transfuse.evaluation.questions import score_record
from transfuse.types import Arm, Cost, Features, ItemTable, Task, Undefined

ROWS = 240


def cost(flops: float) -> Cost:
    return Cost(int(flops), 0, flops, 0.0)


def looked_at(
    blocks: dict[str, np.ndarray], targets: np.ndarray, flops: dict[str, float] | None = None, **more
) -> Sources:
    folds = (np.arange(len(targets)) // 4) % 5
    ids = tuple(f"i{row}" for row in range(len(targets)))
    made = {name: Material(block, targets, 4, folds, ids=ids, parameters=10) for name, block in blocks.items()}
    known = {name: cost((flops or {}).get(name, 1e6)) for name in blocks}
    return Sources(made, ItemTable(ids, targets), known, **more)


def pieces(seed: int = 0, noise: float = 0.6) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """`left` tells two bits of the class's number apart from `right`; `twin` repeats left with noise of its own."""
    rng = np.random.default_rng(seed)
    targets = np.arange(ROWS) % 4
    bits = np.stack([targets // 2, targets % 2], axis=1) * 2.0 - 1.0
    return {
        "left": bits[:, :1] + noise * rng.normal(size=(ROWS, 3)),
        "right": bits[:, 1:] + noise * rng.normal(size=(ROWS, 3)),
        "dull": rng.normal(size=(ROWS, 3)),
    }, targets


def test_sources_that_complete_each_other_make_a_second_one_worth_it() -> None:
    blocks, targets = pieces()
    found = appraise(looked_at(blocks, targets))
    assert found.verdict.recommendation.arm == "left+right" and found.verdict.recommendation.form == "fused"
    first, second = found.verdict.claims
    assert (first.status, second.status) == ("better", "better") and "worth it" in first.sentence
    row = next(row for row in found.rows if row.id in first.evidence)
    assert row.value < -row.provenance["margin"] < 0 and row.low <= row.value <= row.high < 0
    assert {each["pair"] for each in row.provenance["took"]} == {"left+right"}


def test_a_source_beside_itself_is_not_worth_it_and_the_cheaper_of_two_equals_is_taken() -> None:
    blocks, targets = pieces()
    twice = {"dear": blocks["left"], "cheap": blocks["left"] * 3.0 + 1.0}
    found = appraise(looked_at(twice, targets, {"dear": 9e6, "cheap": 1e6}))
    assert found.verdict.recommendation.arm == "cheap"
    assert found.verdict.claims[0].status in ("equivalent", "not shown")
    assert [set(group) for group in found.ties] == [{"cheap", "dear"}]


def test_ties_are_groups_that_are_shown_to_differ() -> None:
    blocks, targets = pieces()
    groups = tie_groups(looked_at(blocks, targets))
    assert set(groups[0]) == {"left", "right"} and groups[1] == ("dull",)


def test_choosing_the_best_of_many_useless_pairs_claims_nothing() -> None:
    """The pair that looks best in hindsight gains; chosen on other rows than it is judged on, it does not."""
    claims, hindsight = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        blocks = {f"n{number}": rng.normal(size=(100, 2)) for number in range(3)}
        sources = looked_at(blocks, np.arange(100) % 4, margin=MarginRule(0.0))
        found = appraise(sources)
        claims.append(found.verdict.claims[0].status)
        hindsight.append(sources.loss(sources.best(2)) < sources.loss(sources.best(1)))
    assert claims.count("better") <= 1
    assert any(hindsight)


def test_every_row_is_plain_and_unique_and_means_what_it_says() -> None:
    blocks, targets = pieces()
    sources = looked_at(blocks, targets, every_score=True)
    found = appraise(sources).rows
    rows = {row.id: row for row in found}
    assert len(rows) == len(found)
    for row in rows.values():
        json.dumps(row.record(), allow_nan=False)
    level = rows["probe_log_loss:left:apart:clean"]
    assert level.value == pytest.approx(sources.answers[("left",)].losses.mean())
    assert rows["probe_log_loss:class frequencies:apart:clean"].value == pytest.approx(np.log(4), abs=0.01)
    assert isinstance(rows["score_leep:left:apart:clean"].value, Undefined)
    names = {row.quantity for row in rows.values()}
    assert {"score_gbc", "score_transrate", "score_n_leep", "score_parc", "score_nce", "score_stated_accuracy"} <= names
    usual = {row.quantity for row in appraise(replace(sources, every_score=False)).rows}
    assert "score_gbc" not in usual and {"score_logme", "score_h_score", "score_knn", "score_size"} <= usual
    together = rows["score_logme:left+right:apart:clean"]
    assert together.value > rows["score_logme:left:apart:clean"].value


def test_one_source_is_probed_and_nothing_is_claimed() -> None:
    blocks, targets = pieces()
    found = appraise(looked_at({"left": blocks["left"]}, targets))
    assert found.verdict.recommendation.arm == "left" and found.verdict.claims == ()


def test_agreement_is_scipys_weighted_tau_and_regret_what_the_first_choice_loses() -> None:
    said = {"good": {"a": 3.0, "b": 2.0, "c": 1.0}, "bad": {"a": 1.0, "b": 2.0, "c": 3.0}, "mute": {"a": 1.0, "b": 1.0}}
    losses = {"a": 0.1, "b": 0.2, "c": 0.5}
    rows = {row.id: row for row in rank_rows(["a", "b", "c"], said, losses)}
    assert rows["score_tau:good:apart:clean"].value == pytest.approx(1.0)
    assert rows["score_regret:good:apart:clean"].value == 0.0
    expected = weightedtau([1.0, 2.0, 3.0], [-0.1, -0.2, -0.5])[0]
    assert rows["score_tau:bad:apart:clean"].value == pytest.approx(expected) == pytest.approx(-1.0)
    assert rows["score_regret:bad:apart:clean"].value == pytest.approx(0.4)
    assert "no value for c" in rows["score_tau:mute:apart:clean"].value.reason
    few = rank_rows(["a", "b"], said, losses)
    assert len(few) == 2 and all("fewer than 3" in row.value.reason for row in few)
    assert regret(np.array([1.0, 1.0, 0.0]), np.array([0.0, -0.2, -1.0])) == pytest.approx(0.1)
    assert not np.isfinite(tau(np.ones(3), np.arange(3.0)))


def test_agreement_with_many_lists_is_scipys_with_each_ties_and_all() -> None:
    rng = np.random.default_rng(0)
    for entries in range(3, 9):
        said, lists = rng.integers(0, 4, entries) / 3.0, rng.integers(0, 4, (40, entries)) / 3.0
        expected = [weightedtau(said, each)[0] for each in lists]
        np.testing.assert_allclose(tau(said, lists), expected, rtol=0, atol=1e-12, equal_nan=True)
        lost = [each.max() - np.mean([each[at] for at in np.flatnonzero(said == said.max())]) for each in lists]
        np.testing.assert_allclose(regret(said, lists), lost, rtol=0, atol=1e-15)


def test_each_scores_record_is_its_order_against_the_judged_one() -> None:
    """Three frozen sources of known skill: the probe on rows apart has them in order, with an interval over items."""
    known = judged_items(150, groups=None)
    skills = {"a": 3.0, "b": 1.5, "c": 0.3}
    tables = {f"frozen/{name}": judged(f"frozen/{name}", known, skill, 1) for name, skill in skills.items()}
    apart = judged_items(90, seed=5)
    rng = np.random.default_rng(0)
    hints = np.eye(4)[apart.targets]
    blocks = {name: skill * hints + rng.normal(size=(90, 4)) for name, skill in skills.items()}
    arms = tuple(Arm(name, "baseline", (name[-1],), "", "frozen", "single", cost(1e6)) for name in tables)
    features = Features(blocks, apart, np.arange(90) % 5)
    losses = {name: 1.0 / (1 + place) for place, name in enumerate(reversed(tables))}
    task = Task("multiclass", ("ant", "bee", "cow", "doe"))
    pair = ("frozen/a", "frozen/a")
    case = Case(task, known, arms, tables, losses, *pair, (), MarginRule(), "locked", features=features)
    rows = {row.id: row for row in score_record.ask(case)}
    found = rows["score_tau:probe:test:clean"]
    assert found.value == pytest.approx(1.0) and 0 < found.low <= 1.0 and found.n == 150
    assert rows["score_regret:probe:test:clean"].value == 0.0
    assert "same value" in rows["score_tau:size:test:clean"].value.reason
    assert "score_tau:leep:test:clean" not in rows
    few = replace(features, blocks={name: blocks[name] for name in "ab"})
    (first, second) = score_record.ask(replace(case, features=few))
    assert isinstance(first.value, Undefined) and "fewer than 3" in second.value.reason
    assert score_record.ask(replace(case, features=None)) == []
