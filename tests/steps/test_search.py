"""A search tells fusions apart out of fold, keeps its budget, and claims nothing where nothing is to be gained."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from transfuse.data.items import table
from transfuse.steps import Context, _screen, search
from transfuse.steps._screen import Candidate, Screen, optimism
from transfuse.steps._searched import choices, evidence
from transfuse.store import Artifact, Store

FEW = (("mean_prob", {}), ("vote", {}), ("convex", {}))
CONTEXT = Context(Store(Path()), Path())


@pytest.fixture(autouse=True)
def few_rules(monkeypatch):
    monkeypatch.setattr(_screen, "RULES", FEW)
    monkeypatch.setattr(_screen, "DEEP", 1)


def sources(seed: int, kind: str = "real", count: int = 240, classes: int = 4):
    """Blocks by (source, tap), of which each knows something of its own; or copies of one; or shuffled targets."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, count)
    means = 0.35 * rng.normal(size=(3, classes, 12))
    blocks = {(name, "vector"): means[i][targets] + rng.normal(size=(count, 12)) for i, name in enumerate("abc")}
    if kind == "copies":
        blocks = dict.fromkeys(blocks, blocks["a", "vector"])
    return blocks, rng.permutation(targets) if kind == "shuffled" else targets


def screened(seed: int, kind: str = "real") -> Screen:
    blocks, targets = sources(seed, kind)
    folds = np.random.default_rng(seed + 1000).integers(0, 5, len(targets))
    flops = {key: 1e6 * (place + 1) for place, key in enumerate(blocks)}
    made = Screen(blocks, targets, folds, 4, flops)
    made.heads()
    made.pools()
    return made


def told(screen: Screen):
    return optimism([one for one in screen.tried.values() if one.family != "single"], screen.singles)


def test_what_is_better_together_is_found_and_its_gain_is_shown():
    screen = screened(0)
    found = told(screen)
    assert found.shown and found.gain > 0.1
    assert min(screen.tried.values(), key=lambda one: one.losses.mean()).sources == ("a", "b", "c")
    assert {one.family for one in screen.tried.values()} == {"single", "features", "outputs", "cascade"}


@pytest.mark.parametrize("kind", ["copies", "shuffled"])
def test_on_null_data_nothing_is_shown(kind):
    found = [told(screened(seed, kind)) for seed in range(2)]
    assert not any(each.shown for each in found)
    assert all(abs(each.gain) < 0.05 for each in found)


def test_the_best_of_many_equal_candidates_is_flattered_and_the_bootstrap_says_by_how_much():
    rng = np.random.default_rng(5)
    truth = []
    for _ in range(20):
        losses = rng.exponential(size=(60, 300))
        many = [Candidate(str(number), "features", {}, each, 1.0) for number, each in enumerate(losses)]
        truth.append((1.0 - losses.mean(axis=1).min(), optimism(many, many[:1]).optimism))
    flattered, estimated = np.mean(truth, axis=0)
    assert flattered > 0.08
    assert estimated == pytest.approx(flattered, rel=0.6)


def inputs(**probes: float) -> dict[str, Artifact]:
    blocks, targets = sources(0)
    count = len(targets)
    items = table([f"row {row}" for row in range(count)], ["wxyz"[label] for label in targets], ["0" * 32] * count)
    rows = {
        "train": np.arange(0, 150), "fit0": np.arange(0, 150), "held0": np.arange(150, 190),
        "calibrate": np.arange(190, 220), "judge": np.arange(220, count),
    }  # fmt: skip
    seen = np.arange(0, 220)
    found = {"items": Artifact(items.to_json(), {}), "rows": Artifact(None, rows)}
    for number, block in enumerate(blocks.values()):
        found[f"x{number}|all"] = Artifact({}, {"rows": seen, "block": block[seen].astype(np.float32)})
        found[f"count|{number}"] = Artifact({"member_flops": 1e6 * (number + 1), "parameters": 1000 * (number + 1)}, {})
    found |= {f"probe|{name}": Artifact({"forward_ms": ms}, {}) for name, ms in probes.items()}
    return found


def params(**budget: float | None) -> dict:
    limits = {"flops": None, "latency": None, "train": None, **budget}
    blocks = [[name, "vector"] for name in "abc"]
    return {"blocks": blocks, "finalists": 4, "budget": limits, "head_seconds": 0.5, "runs": 2}


@functools.cache
def whole() -> tuple[dict, Screen]:
    """What a search without limits found, and all that it tried."""
    made: list[Screen] = []

    class Kept(Screen):
        def run(self, fusers=None):
            made.append(self)
            super().run(fusers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "Screen", Kept)
        meta, _ = search.run(params(), inputs(), CONTEXT)
    return meta, made[0]


@pytest.fixture
def tried(monkeypatch):
    """A search that has tried all already: what remains is what its budget makes of it."""
    _, screen = whole()
    monkeypatch.setattr(screen, "run", lambda fusers: None)
    monkeypatch.setattr(search, "Screen", lambda **given: screen)


def test_finalists_are_what_a_recipe_would_write_and_hold_each_family():
    meta, _ = whole()
    assert len(meta["chosen"]) == 4 and set(meta["chosen"]) <= set(meta["finalists"])
    fuses = {meta["finalists"][name]["fuse"].split("/")[0] for name in meta["chosen"]}
    assert fuses == {"features", "outputs"}
    assert any(meta["finalists"][name]["fuse"] == "outputs/cascade" for name in meta["chosen"])
    for facts in meta["finalists"].values():
        assert all(member in "abc" or member in meta["finalists"] for member in facts["of"])
    assert meta["tried"] > 30 and meta["rows"] == 220


def test_judged_rows_have_no_part_in_a_search():
    given = inputs()
    moved = given["rows"].arrays | {"judge": np.arange(0, 5)}
    assert search.run(params(), {**given, "rows": Artifact(None, moved)}, CONTEXT)[0] == whole()[0]


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        ({"flops": 1e5}, r"no fusion fits into the budget; the cheapest, .*, needs .* FLOPs per item, .* has 1e\+05"),
        ({"latency": 1e-6}, r"needs about .* ms per item, the budget has 0.001 ms"),
        ({"memory": 100.0}, r"needs 0\.0\d+ MB of weights, the budget has 0\.0001 MB"),
        ({"train": 0.01}, r"needs about .* s of training, the budget has 0.01 s"),
    ],
)
def test_a_budget_nothing_fits_into_says_what_the_cheapest_would_need(tried, budget, text):
    import re

    meta, _ = search.run(params(**budget), inputs(a=1.0, b=2.0, c=3.0), CONTEXT)
    assert re.search(text, meta["failed"])


def test_a_budget_of_flops_keeps_what_is_dearer_out(tried):
    meta, _ = search.run(params(flops=3.5e6), inputs(), CONTEXT)
    assert meta["within"] < meta["tried"]
    assert not any(set("abc") <= set(meta["finalists"][name]["of"]) for name in meta["chosen"] if "concat" in name)


def test_a_budget_of_memory_keeps_larger_sources_out(tried):
    meta, _ = search.run(params(memory=3000 * 4.0), inputs(), CONTEXT)
    assert meta["within"] < meta["tried"]
    assert {member for name in meta["chosen"] for member in meta["finalists"][name]["of"]} == {"a", "b"}


def test_a_search_is_told_with_what_choosing_flattered():
    meta, _ = whole()
    found = {"search|": Artifact(meta, {})}
    (choice,) = choices(found)
    assert choice["choice"] == "search" and choice["run"] == "all"
    flattered, gain = evidence(found)
    assert flattered.quantity == "search_optimism" and flattered.split == "selection"
    assert gain.low <= gain.value <= gain.high and gain.provenance["searched"] == meta["tried"]


def test_two_taps_of_a_source_are_tried_alone_and_together():
    blocks, targets = sources(0)
    blocks = {("a", "map"): blocks["b", "vector"], **blocks}
    folds = np.random.default_rng(3).integers(0, 5, len(targets))
    screen = Screen(blocks, targets, folds, 4, dict.fromkeys(blocks, 1e6))
    assert [some for some in screen.sets() if {key[0] for key in some} == {"a"}] == [
        (("a", "map"),), (("a", "vector"),), (("a", "map"), ("a", "vector")),
    ]  # fmt: skip
    assert replace(screen, blocks={("a", "vector"): blocks["a", "vector"]}).sets() == [(("a", "vector"),)]
