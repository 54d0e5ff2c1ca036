"""A merge in a run: statistics estimated anew, coefficients chosen on held rows, members turned, and what is told."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from transfuse.errors import UserError
from transfuse.fusion.turning import drawn, turned
from transfuse.registry import method
from transfuse.seeds import stream
from transfuse.source.base import Source
from transfuse.source.hidden_units.groups import find_groups
from transfuse.source.open import make_card
from transfuse.steps._case import _merging_notes
from transfuse.steps._merging import Merging, Work

CLASSES = ("x", "y", "z")


def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
        ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def card():
    return replace(make_card("a", network(), root=Path(), canvas=12), classes=CLASSES)


def changed(size: float, seed: int) -> nn.Module:
    made, generator = network(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += size * parameter.std() * torch.randn(parameter.shape, generator=generator)
    return made


def merging(card, modules, **merge) -> Merging:
    rng = torch.Generator().manual_seed(5)
    images, held = torch.rand(20, 3, 12, 12, generator=rng), torch.rand(12, 3, 12, 12, generator=rng)
    told = {"method": "weights/mean", "settings": {}, "weights": None, "align": "none", "statistics": "mean"}
    told |= {"counters": "largest", "repair": "auto", "tries": 9, **merge}
    sources = {name: Source(replace(card, name=name), module).eval() for name, module in modules.items()}
    return Merging(told, sources, None, images, (held, np.arange(12) % 3), CLASSES, 0)


def test_statistics_are_estimated_anew_unless_told_otherwise(card):
    modules = {"a": changed(0.1, 1), "b": changed(0.1, 2)}
    state, told = merging(card, copy.deepcopy(modules)).made()
    plain, nothing = merging(card, copy.deepcopy(modules), repair="none").made()
    assert (told["norms"], told["rows"], nothing["norms"]) == (1, 20, 0)
    assert plain["1.running_var"].tolist() == [1.0] * 6 and state["1.running_var"].max() < 0.9
    assert np.array_equal(state["0.weight"], plain["0.weight"])
    assert told["verdict"] == "mergeable"


def test_a_greedy_soup_leaves_out_what_does_harm(card):
    best = network()
    noise = changed(40.0, 3)
    state, told = merging(card, {"a": best, "b": noise}, weights="greedy_soup", repair="none").made()
    losses = dict(zip("ab", told["losses"], strict=False))
    assert told["tried"] == 3 and told["weights"][min(losses, key=losses.__getitem__)] == 1.0
    kept = [name for name, value in told["weights"].items() if value]
    assert len(kept) == 1 or told["losses"][2] <= min(losses.values())
    assert set(state) == set(network().state_dict())


def test_a_reordered_twin_is_turned_back_and_then_the_merge_is_itself(card):
    first, twin = network(), network()
    groups = find_groups(first, torch.rand(2, 3, 12, 12))
    turn = drawn(groups, stream("twin"))
    twin.load_state_dict(
        {
            name: torch.from_numpy(np.ascontiguousarray(turned(groups, turn, name, value.numpy())))
            for name, value in first.state_dict().items()
        }
    )
    wanted = {name: value.numpy().copy() for name, value in first.state_dict().items()}
    state, told = merging(card, {"a": first, "b": twin}, align="weight_matching", repair="none").made()
    assert told["verdict"] == "mergeable" and told["align"] == "weight_matching" and told["moved"]["b"] > 0.5
    assert "before, a and b" in told["why"] and "another order" in told["why"]
    assert all(np.allclose(state[name], wanted[name], atol=1e-7) for name in wanted)


@pytest.mark.parametrize("name", ["fisher", "regmean"])
def test_statistics_are_collected_for_what_needs_them(card, name):
    how = {"method": f"weights/{name}", "settings": method(f"weights/{name}").settings({})}
    state, _ = merging(card, {"a": changed(0.3, 1), "b": changed(0.3, 2)}, **how).made()
    plain, _ = merging(card, {"a": changed(0.3, 1), "b": changed(0.3, 2)}).made()
    assert np.abs(state["7.weight"] - plain["7.weight"]).max() > 1e-4


@pytest.mark.parametrize("layers", [False, True])
def test_coefficients_learn_from_images_alone_to_the_certain_member(card, layers):
    """One member's answers are certain, the other's are not: the entropy of the merge's falls, and no label is read."""
    sure, unsure = network(), network()
    with torch.no_grad():
        sure[7].weight.mul_(30.0)
    how = {"weights": "adamerging", "tries": 8, "chooser": {"layers": layers, "rate": 0.05}}
    made = merging(card, {"a": sure, "b": unsure}, **how)
    state, told = Merging(**{**vars(made), "held": (torch.empty(0), np.empty(0, int)), "classes": ("cat",)}).made()
    losses = told["losses"]
    assert len(losses) == 8 and losses[-1] < losses[0] and told["weights"]["a"] > 0.5 > told["weights"]["b"]
    assert told["norms"] == 1 and all(np.isfinite(value).all() for value in state.values())
    (note,) = (note for note in _merging_notes(told) if "learned by adamerging" in note)
    assert "in 8 passes" in note
    if not layers:
        fixed = merging(card, {"a": network(), "b": network()}, weights=list(told["weights"].values()))
        fixed.sources["a"].network[7].weight.data.mul_(30.0)
        again, _ = fixed.made()
        assert all(np.allclose(again[name], state[name], atol=1e-5) for name in state)


def test_choosing_needs_a_head_that_names_the_classes(card):
    made = merging(card, {"a": network(), "b": network()}, weights="greedy_soup")
    other = Merging(**{**vars(made), "classes": ("cat", "dog")})
    with pytest.raises(UserError, match="does not name the target's classes"):
        other.made()


@pytest.mark.parametrize("chooser", ["greedy_soup", "wise_path", "search"])
def test_each_try_merges_the_sources_and_not_the_try_before(card, chooser):
    if chooser == "search":
        pytest.importorskip("optuna", reason="the extra `tune` is not installed")
    modules = {"a": changed(0.5, 1), "b": changed(0.5, 2)}
    state, told = merging(card, copy.deepcopy(modules), weights=chooser).made()
    again, _ = merging(card, copy.deepcopy(modules), weights=list(told["weights"].values())).made()
    assert all(np.array_equal(state[name], again[name]) for name in state)
    alone = merging(card, copy.deepcopy(modules), weights=list(told["weights"].values()))
    alone.made()
    fresh = Work(alone, {}, None, {}).loss()
    assert min(told["losses"]) == pytest.approx(fresh, abs=1e-6) and len(set(told["losses"])) > 1


def test_a_path_is_told_beside_the_merge_and_changes_nothing(card):
    modules = {"a": changed(0.5, 1), "b": changed(0.5, 2)}
    plain, without = merging(card, copy.deepcopy(modules)).made()
    state, told = merging(card, copy.deepcopy(modules), path=True).made()
    assert all(np.array_equal(plain[name], state[name]) for name in plain) and "path" not in without
    found = told["path"]
    assert (len(found["shares"]), found["rows"], found["ends"]) == (25, 12, ["a", "b"])
    assert set(found["loss"]) == {v + t for v in ("as merged", "estimated anew") for t in ("", ", tempered")}
    held = merging(card, modules).held
    for place, module in ((0, modules["a"]), (-1, modules["b"])):
        with torch.no_grad():
            wanted = torch.nn.functional.cross_entropy(module(held[0]), torch.from_numpy(held[1])).item()
        assert found["loss"]["as merged"][place] == pytest.approx(wanted, abs=1e-5)
    (note,) = (note for note in _merging_notes(told) if "straight way" in note)
    assert "from a to b (25 points, 12 selection rows)" in note and "estimated anew, tempered" in note


def test_of_a_single_member_no_path_is_walked(card):
    _, told = merging(card, {"a": network()}, path=True).made()
    assert "path" not in told
