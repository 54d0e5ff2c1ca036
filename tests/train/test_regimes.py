"""Regimes on a real fused network: what is frozen does not move by one bit, what sleeps wakes in its turn."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from transfuse.errors import UserError
from transfuse.fusion.connect import connect
from transfuse.fusion.fused import Fused
from transfuse.levels import stage_ends
from transfuse.reads import Read
from transfuse.schedules import Schedule, schedule
from transfuse.source.open import make_card, open_source
from transfuse.train.adamw import AdamW
from transfuse.train.averaging import Average
from transfuse.train.feed import CanvasFeed
from transfuse.train.learner import OnCanvas
from transfuse.train.loop import Lesson, fit
from transfuse.train.stages import Stages, staged

CPU, ROWS = torch.device("cpu"), np.arange(12)
REGIMES: dict[str, dict[str, Any]] = {
    "plain": {},
    "smoothing": {"smoothing": 0.1},
    "gradual": {"thaw": "gradual"},
    "head first": {"thaw": "head_first"},
    "layer decay": {"layer_decay": 0.5},
    "l2_sp": {"objective": "l2_sp"},
    "mixup": {"augment": "mixup"},
    "cutmix": {"augment": "cutmix"},
    "ema": {"average": "ema"},
    "swa": {"average": "swa", "average_from": 0.0},
    "dropout": {"branch_dropout": 0.3, "feature_dropout": 0.3, "monte_carlo": 2},
    "branch heads": {"objective": "branch_heads"},
    "gradient blending": {"objective": "gradient_blend"},
}


class Net(nn.Module):
    """Three convolutional stages with BatchNorm and dropout, then a classifier."""

    def __init__(self) -> None:
        super().__init__()
        sizes = ((3, 4), (4, 6), (6, 8))
        self.parts = nn.Sequential(*[
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.ReLU(), nn.Dropout(0.2)) for a, b in sizes
        ])  # fmt: skip
        self.pool, self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.pool(self.parts(images)))


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Net().eval()


CARDS = {name: make_card(name, network(), root=Path(), canvas=24) for name in ("a", "b")}


@pytest.fixture
def fused() -> Callable[[], Fused]:
    def make() -> Fused:
        members = {name: open_source(card, root=Path(), module=network()) for name, card in CARDS.items()}
        reads = [Read(name, "vector") for name in members]
        return connect("features/concat", members, reads, ["x", "y", "z"], settings={"dropout": 0.1})

    return make


@pytest.fixture
def taught() -> Callable[..., Any]:
    """(network, settings of the regime) -> what `fit` found; two epochs on twelve random canvases."""
    canvases = np.random.default_rng(0).random((12, 3, 24, 24), dtype=np.float32)
    feed = CanvasFeed(lambda rows: canvases[np.asarray(rows)], CPU)

    def teach(model: Fused, held: np.ndarray | None = ROWS[8:], **given: Any) -> Any:
        plan = schedule({"regime": "full", "epochs": 2, "batch": 4, "rates": [0.01], **given}, where="test")
        model.settle(torch.from_numpy(canvases))
        model.crown.drop(branch=plan.branch_dropout, feature=plan.feature_dropout, passes=plan.monte_carlo)
        lesson = Lesson(OnCanvas, feed, np.arange(12) % 3, plan, 0, classes=3)
        return fit(lesson, model, ROWS[:8], held=held, rate=0.01)

    return teach


def bits(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def moved(module: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("regime", REGIMES)
def test_a_frozen_branch_does_not_move_by_one_bit_in_any_regime(regime: str, fused: Any, taught: Any) -> None:
    model = fused()
    model.member("a").freeze(None)
    model.freeze("b.parts.0")
    frozen, partly = bits(model.member("a")), bits(model.member("b"))
    taught(model, **REGIMES[regime])
    assert moved(model.member("a"), frozen) == set()
    changed = moved(model.member("b"), partly)
    assert changed or regime in ("gradual", "head first")
    assert not {name for name in changed if name.startswith("network.parts.0.")}


@pytest.mark.parametrize("regime", REGIMES)
def test_every_regime_trains_the_rest(regime: str, fused: Any, taught: Any) -> None:
    model = fused()
    before = bits(model)
    fitted = taught(model, held=None, epochs=4, **REGIMES[regime])
    changed = moved(model, before)
    assert {"crown.head.weight", "members.a.network.parts.2.0.weight"} <= changed
    assert "members.b.network.parts.2.1.running_mean" in changed
    assert all(np.isfinite(point["train"]) for point in fitted.curve)


def test_a_member_is_cut_where_its_card_says(fused: Any) -> None:
    member = fused().member("a")
    assert stage_ends(member.card) == ["parts.0", "parts.1", "parts"]
    found = staged(member)
    assert [stage.height for stage in found] == [2, 1, 0]
    own = [{id(parameter) for parameter in member.network.parts[index].parameters()} for index in range(2)]
    assert [{id(parameter) for parameter in stage.parameters} for stage in found[:2]] == own
    assert sum(len(stage.parameters) for stage in found) == len(list(member.parameters()))


@pytest.mark.parametrize(
    ("settings", "awake"),
    [
        ({"thaw": "gradual"}, [(), (2,), (1, 2), (0, 1, 2)]),
        ({"thaw": "gradual", "thaw_epochs": 2}, [(), (), (2,), (2,)]),
        ({"thaw": "head_first", "thaw_epochs": 2}, [(), (), (0, 1, 2), (0, 1, 2)]),
        ({}, [(0, 1, 2)] * 4),
    ],
)
def test_stages_wake_in_their_turn_with_their_statistics(settings: Any, awake: Any, fused: Any) -> None:
    model = fused()
    depth = Stages(model, replace(Schedule(), **settings))
    for epoch, wanted in enumerate(awake, start=1):
        depth.thaw(epoch)
        model.train()
        for member in ("a", "b"):
            parts = model.member(member).network.parts
            learns = [all(parameter.requires_grad for parameter in part.parameters()) for part in parts]
            counts = [part[1].training and part[3].training for part in parts]
            assert learns == counts == [index in wanted for index in range(3)]


def test_what_sleeps_stays_and_what_was_frozen_before_never_wakes(fused: Any, taught: Any) -> None:
    model = fused()
    model.freeze("b.parts.0")
    before = bits(model)
    taught(model, held=None, thaw="gradual", epochs=2)
    inside = {name.split(".")[1] + name.split("parts.")[1][0] for name in moved(model, before) if "parts." in name}
    assert inside == {"a2", "b2"}


def test_deeper_layers_learn_slower_by_the_decay(fused: Any, taught: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: dict[int, float] = {}
    real = AdamW.__init__

    def init(self: AdamW, groups: Any, *ranks: Any, **more: Any) -> None:
        for group in groups:
            rates.update({id(parameter): group["lr"] for parameter in group["params"]})
        real(self, groups, *ranks, **more)

    monkeypatch.setattr(AdamW, "__init__", init)
    model = fused()
    taught(model, layer_decay=0.5)
    parts = model.member("b").network.parts
    found = [rates[id(part[0].weight)] for part in parts]
    assert found == pytest.approx([0.01 * 0.1 * share for share in (0.25, 0.5, 1.0)])
    assert rates[id(model.crown.head.weight)] == 0.01


def test_a_strong_pull_keeps_the_members_where_they_were(fused: Any, taught: Any) -> None:
    def distance(**given: Any) -> float:
        model = fused()
        before = copy.deepcopy(model)
        taught(model, held=None, epochs=6, member_rate=1.0, weight_decay=0.5, **given)
        pairs = zip(model.members.parameters(), before.members.parameters(), strict=True)
        return float(sum((one - other).detach().square().sum() for one, other in pairs))

    assert distance(objective="l2_sp", alpha=50.0) < 0.5 * distance()


def test_the_penalty_is_the_formula_and_is_told_beside_the_loss(fused: Any, taught: Any) -> None:
    model = fused()
    fitted = taught(model, held=None, objective="l2_sp", alpha=0.5, beta=0.1, epochs=3)
    assert {"train:supervised", "train:l2_sp"} <= set(fitted.curve[0])
    assert fitted.curve[0]["train:l2_sp"] < fitted.curve[-1]["train:l2_sp"]
    total = fitted.curve[1]["train:supervised"] + fitted.curve[1]["train:l2_sp"]
    assert fitted.curve[1]["train"] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_the_average_is_the_mean_it_says(kind: str) -> None:
    model = nn.Linear(1, 1, bias=False)
    plan = replace(Schedule(), average=kind, average_decay=0.8, average_from=0.25)
    average, values = Average(model, plan, 8), [float(value) for value in range(1, 9)]
    for value in values:
        nn.init.constant_(model.weight, value)
        average.update()
    if kind == "swa":
        wanted = float(np.mean(values[2:]))
    else:
        wanted = values[0]
        for step, value in enumerate(values[1:], start=2):
            decay = min(0.8, (1 + step) / (10 + step))
            wanted = decay * wanted + (1 - decay) * value
    with average.in_place(lambda: None):
        assert model.weight.item() == pytest.approx(wanted)
    assert model.weight.item() == values[-1]


def test_weights_come_back_where_the_look_at_training_rows_fails() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    average = Average(model, replace(Schedule(), average="swa", average_from=0.0), 4)
    average.update()
    with torch.no_grad():
        model[0].weight.fill_(7.0)
    kept = {name: value.clone() for name, value in model.state_dict().items()}

    def fails() -> None:
        model(torch.randn(4, 2, generator=torch.Generator().manual_seed(0)))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), average.in_place(fails):
        pytest.fail("nothing is scored")
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())


def test_statistics_are_those_of_the_averaged_weights(fused: Any, taught: Any) -> None:
    """Of eight rows in two equal batches: the kept mean is that of the whole, through the kept weights."""
    model = fused()
    taught(model, held=None, average="ema", epochs=3)
    canvases = torch.from_numpy(np.random.default_rng(0).random((12, 3, 24, 24), dtype=np.float32))[:8]
    member = model.eval().member("a")
    first = member.network.parts[0]
    wanted = first[0](member.prepared(canvases)).mean(dim=(0, 2, 3))
    torch.testing.assert_close(first[1].running_mean, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "mentions"),
    [
        ({"thaw": "gradual"}, ["thaw has nothing to do"]),
        ({"layer_decay": 0.5}, ["layer_decay has nothing to do"]),
        ({"objective": "l2_sp"}, ["works on canvas"]),
        ({"regime": "full", "thaw": "slowly"}, ["thaw must be one of at_once, head_first, gradual"]),
        ({"regime": "full", "average": "mean"}, ["average must be one of none, ema, swa"]),
    ],
)
def test_a_regime_that_cannot_be_is_one_clean_message(given: Any, mentions: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        schedule(given, where="recipe, train")
    assert all(text in str(caught.value) for text in mentions), str(caught.value)
