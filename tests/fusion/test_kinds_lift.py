"""Pools and heads of every kind of task: what holds for labels and numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit

from transfuse.errors import UserError
from transfuse.fusion import kinds_lift, outputs_lift
from transfuse.fusion.graph import Answering
from transfuse.fusion.heads import Values, head
from transfuse.fusion.pooled import Pool
from transfuse.fusion.saved import load, save
from transfuse.registry import kinds_of, method, shelf
from transfuse.source.open import make_card, open_source

EVERY = [entry for entry in shelf("fusion/outputs").values() if "multilabel" in kinds_of(entry)]
RNG = np.random.default_rng(0)
TARGETS = (RNG.random((50, 3)) < 0.4).astype(np.int64)
LOGITS = np.stack([skill * (2.0 * TARGETS - 1.0) + RNG.normal(size=TARGETS.shape) for skill in (0.5, 1.0, 2.0)])


@pytest.mark.parametrize("entry", EVERY, ids=lambda entry: entry.name)
def test_a_pool_of_labels_gives_chances_and_treats_labels_alike(entry) -> None:
    members = kinds_lift.answers(LOGITS, "logit", "multilabel")
    state = kinds_lift.fit(entry, members, TARGETS, {}, "multilabel")
    pooled = kinds_lift.apply(entry, state, members, "multilabel")
    assert pooled.shape == TARGETS.shape
    assert ((pooled >= 0) & (pooled <= 1)).all()
    loss = -np.log(np.clip(np.where(TARGETS, pooled, 1 - pooled), 1e-15, None)).mean()
    assert loss < np.log(2)
    turned = kinds_lift.apply(entry, state, members[..., [2, 0, 1]], "multilabel")
    np.testing.assert_allclose(turned, pooled[:, [2, 0, 1]], atol=1e-9)


def test_a_label_is_pooled_as_a_question_of_two_classes() -> None:
    entry, members = method("outputs/convex"), kinds_lift.answers(LOGITS[..., :1], "logit", "multilabel")
    state = kinds_lift.fit(entry, members, TARGETS[:, :1], {}, "multilabel")
    two = np.concatenate([1 - members, members], axis=2)
    same = outputs_lift.fit(entry, two, TARGETS[:, 0], {})
    np.testing.assert_allclose(state["weights"], same["weights"])
    np.testing.assert_allclose(
        kinds_lift.apply(entry, state, members, "multilabel")[:, 0], outputs_lift.apply(entry, same, two)[:, 1]
    )


def test_numbers_are_averaged_and_methods_of_classes_are_refused() -> None:
    entry = method("outputs/mean_prob")
    numbers = 100.0 * RNG.normal(size=(3, 20, 2))
    members = kinds_lift.answers(numbers, "value", "regression")
    state = kinds_lift.fit(entry, members, numbers[0], {}, "regression")
    np.testing.assert_allclose(kinds_lift.apply(entry, state, members, "regression"), numbers.mean(axis=0))
    with pytest.raises(UserError, match=r"outputs/vote does not hold for a regression task"):
        kinds_lift.fit(method("outputs/vote"), members, numbers[0], {}, "regression")


@pytest.mark.parametrize(
    ("scores", "scale", "kind"),
    [(LOGITS, "value", "multilabel"), (LOGITS, "probability", "multilabel"), (LOGITS, "logit", "regression")]
    + [(LOGITS * np.nan, "logit", "multilabel")],
)
def test_scores_that_cannot_be_pooled_are_refused(scores: np.ndarray, scale: str, kind) -> None:
    with pytest.raises(UserError):
        kinds_lift.answers(scores, scale, kind)


def test_the_head_of_numbers_starts_at_the_mean_and_stays_so_on_disk() -> None:
    targets = torch.tensor([[1.0, 7.0], [3.0, 7.0]])
    made = head(4, 2, "regression")
    assert isinstance(made, Values)
    made.settle(targets)
    torch.testing.assert_close(made(torch.rand(5, 4)), torch.tensor([[2.0, 7.0]]).expand(5, 2))
    torch.testing.assert_close(made.spread, torch.tensor([1.0, 1.0]))
    again = head(4, 2, "regression")
    again.load_state_dict(made.state_dict())
    torch.testing.assert_close(again(torch.ones(1, 4)), made(torch.ones(1, 4)))


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_pools_and_fusions_of_other_kinds_come_back_from_disk(kind, tmp_path: Path) -> None:
    from transfuse import fuse

    root = Path()
    sources = {name: open_source(make_card(name, f"demo:{name}", root=root, canvas=16), root=root) for name in ("vgg",)}
    members = [fuse(sources, "features/concat", classes=["a", "b"], task=kind, canvas=16, seed=seed) for seed in (0, 1)]
    for member in members:
        torch.nn.init.normal_(member.crown.head.weight, std=0.1)
        if kind == "regression":
            member.crown.head.settle(torch.tensor([[0.0, 10.0], [2.0, 30.0]]))
    pool = Pool("both", members, "outputs/mean_prob", {}, kind).eval()
    pool.temperature = 2.0
    images = torch.rand(3, 3, 16, 16)
    save(pool, tmp_path)
    back = load(tmp_path)
    assert back.kind == kind == json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))["task"]
    with torch.no_grad():
        each = torch.stack([member.eval()(images) for member in members])
        as_graph = Answering(pool)(images)
        torch.testing.assert_close(as_graph, pool(images) if kind == "regression" else pool.probabilities(images))
        torch.testing.assert_close(back(images), pool(images))
        if kind == "regression":
            torch.testing.assert_close(back(images), each.mean(dim=0))
            with pytest.raises(UserError, match="no probabilities"):
                back.probabilities(images)
            return
        wanted = expit(each.double().numpy()).mean(axis=0)
        np.testing.assert_allclose(expit(back(images).double().numpy()), wanted, atol=1e-6)
        given = back.probabilities(images)
    torch.testing.assert_close(given, torch.sigmoid(pool(images) / 2.0))
