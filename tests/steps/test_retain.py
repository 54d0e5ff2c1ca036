"""What members still know: divergence by its formula, accuracy on their own task, nothing lost where nothing moved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from transfuse.data.items import table
from transfuse.fusion.connect import connect
from transfuse.reads import Read
from transfuse.source.open import make_card, open_source
from transfuse.steps import Context, _model, _retained, retain
from transfuse.steps._case import Entry
from transfuse.steps._networks import state_arrays
from transfuse.store import Artifact, Store

CLASSES = ["x", "y"]
SIDE, COUNT = 28, 12
RNG = np.random.default_rng(0)
IMAGES = (RNG.random((COUNT, SIDE, SIDE)) * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def cards():
    return [make_card(name, f"demo:{name}", root=Path(), canvas=SIDE) for name in ("residual", "depthwise")]


@pytest.fixture(scope="module")
def setup(cards, tmp_path_factory):
    """(params, inputs, context, answer before) of a fusion whose first member was trained; the second did not move."""
    store = Store(tmp_path_factory.mktemp("store"))
    labels = [CLASSES[row % 2] for row in range(COUNT)]
    items = table([str(row) for row in range(COUNT)], labels, [f"{row:032d}" for row in range(COUNT)])
    own = table([str(row) for row in range(COUNT)], [cards[0].classes[row % 3] for row in range(COUNT)], items.digests)
    data, extra = (IMAGES, np.arange(COUNT) % 2), {"own:residual": (IMAGES, np.arange(COUNT) % 3)}
    context = Context(store, Path(), data, device="cpu", extra=extra)
    members = {card.name: open_source(card, root=Path()) for card in cards}
    reads = [Read(card.name, "vector") for card in cards]
    fused = connect("features/concat", members, reads, CLASSES, seed=0)
    with torch.no_grad():
        for parameter in fused.member("residual").parameters():
            parameter.mul_(1.05)
    rows = {"held0": np.array([1, 4, 9]), "fit0": np.array([0, 2]), "calibrate": np.array([5]), "judge": np.array([6])}
    params = {
        "method": "features/concat", "settings": {}, "reads": [[0, "vector", "plain"], [1, "vector", "plain"]],
        "random": [], "merge": None, "classes": CLASSES, "seed": 0, "canvas": SIDE, "precision": "float32",
        "schedule": {"regime": "full"}, "heads": [0, 1], "own": {"0": "own:residual"}, "moves": True,
    }  # fmt: skip
    canvas = torch.from_numpy(np.repeat(IMAGES[:, None].astype(np.float32) / 255, 3, axis=1))
    before = {}
    with torch.no_grad():
        for number, card in enumerate(cards):
            before[number] = open_source(card, root=Path())(canvas).numpy()
    inputs = {
        "items": Artifact(items.to_json(), {}), "rows": Artifact(None, rows),
        "fit": Artifact({}, state_arrays(fused)), "own_items0": Artifact(own.to_json(), {}),
        "own0": Artifact({}, {"rows": np.arange(COUNT), "block": before[0]}),
        **{f"card{number}": Artifact(card.record(), {}) for number, card in enumerate(cards)},
        **{f"before{number}": Artifact({}, {"rows": np.arange(COUNT), "block": before[number]}) for number in before},
    }  # fmt: skip
    with torch.no_grad():
        after = fused.eval().member("residual")(canvas).numpy()
    return params, inputs, context, (before, after)


def test_a_trained_member_drifts_by_the_divergence_on_the_held_rows_and_an_untouched_one_does_not(setup):
    params, inputs, context, (before, after) = setup
    meta, _ = retain.run(params, inputs, context)
    held = [1, 4, 9]
    first, second = (torch.softmax(torch.from_numpy(part[held]).double(), 1).numpy() for part in (before[0], after))
    assert meta["kl"]["0"] == pytest.approx(np.mean([entropy(p, q) for p, q in zip(first, second, strict=True)]), 1e-3)
    assert meta["kl"]["0"] > 1e-4 > 1e-9 > meta["kl"]["1"] >= 0
    assert meta["rows"] == 3


def test_accuracy_on_its_own_task_is_counted_before_and_after(setup):
    params, inputs, context, (before, after) = setup
    meta, _ = retain.run(params, inputs, context)
    wanted = np.arange(COUNT) % 3
    assert meta["own"] == {"0": tuple(float((part.argmax(axis=1) == wanted).mean()) for part in (before[0], after))}


def test_where_nothing_moved_no_network_is_opened(setup, monkeypatch):
    params, inputs, context, _ = setup
    monkeypatch.setattr(_model, "network", None)
    meta, _ = retain.run(params | {"moves": False}, inputs, context)
    assert meta["kl"] == {"0": 0.0, "1": 0.0} and len(set(meta["own"]["0"])) == 1


def test_a_failed_fit_is_passed_on(setup):
    params, inputs, context, _ = setup
    assert retain.run(params, inputs | {"fit": Artifact({"failed": "diverged"}, {})}, context)[0] == {
        "failed": "diverged"
    }


def test_divergence_is_zero_for_the_same_answers_however_shifted_and_never_negative():
    logits = RNG.normal(size=(50, 4)) * 10
    assert retain.divergence(logits, logits + 3.0) == pytest.approx(0.0, abs=1e-12)
    assert retain.divergence(logits, logits) == 0.0
    sure, flat = np.array([[30.0, 0.0]]), np.zeros((1, 2))
    assert retain.divergence(sure, flat) == pytest.approx(np.log(2), rel=1e-9)
    assert retain.divergence(flat, sure) > 10


def test_unlabelled_rows_are_not_counted():
    items = table(["a", "b", "c"], ["x", None, "y"], ["0" * 32] * 3)
    logits = np.array([[2.0, 1.0], [0.0, 9.0], [5.0, 1.0]])
    assert retain.accuracy(logits, items, np.arange(3), ("x", "y")) == 0.5


ROWS = {"s0": Artifact(None, {"train": np.arange(8)})}


def holding(moves: bool, *sources: str) -> dict:
    return {"moves": moves, "members": {str(number): source for number, source in enumerate(sources)}}


def observed(inputs, holdings, arm="concat"):
    entry = Entry("best_fusion", arms={"s0": arm})
    found = _retained.observations(inputs, holdings, {"best_fusion": entry}, ROWS)
    return {one.quantity: one.value for one in found}, found


def test_frozen_members_are_known_to_have_kept_everything():
    values, (one, *_) = observed({}, {"concat": {"concat": holding(False, "a", "b")}})
    assert values == {"retention_kl:a": 0.0, "retention_kl:b": 0.0}
    assert (one.arm, one.run, one.rows, one.final) == ("concat", "s0", 8, True)


def test_of_a_pool_what_lost_most_counts():
    def part(drift: float, after: float) -> Artifact:
        return Artifact({"kl": {"0": drift}, "own": {"0": [0.9, after]}}, {})

    inputs = {
        "retain|best_fusion|pool|s0|one": part(0.2, 0.8), "retain|best_fusion|pool|s0|two": part(0.5, 0.7),
    }  # fmt: skip
    parts = {"one": holding(True, "a"), "two": holding(True, "a"), "frozen/a": holding(False, "a")}
    values, _ = observed(inputs, {"pool": parts}, "pool")
    assert values == {"retention_kl:a": 0.5, "own_accuracy_before:a": 0.9, "own_accuracy_after:a": 0.7}


def test_what_could_not_be_computed_is_told_and_not_zero():
    inputs = {"retain|best_fusion|concat|s0|concat": Artifact({"failed": "NaN"}, {})}
    assert observed(inputs, {"concat": {"concat": holding(True, "a")}})[0] == {}
    assert observed({}, {"concat": {"concat": holding(True, "a")}})[0] == {}
    assert _retained.failures(inputs) == {"retention of concat in run s0": "NaN"}
