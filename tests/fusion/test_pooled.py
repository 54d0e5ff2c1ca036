"""Pools and narrowed sources answer as Sources do, and refuse members that mean other classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from transfuse.errors import UserError
from transfuse.fusion.pooled import Narrowed, Pool


def named(source, *classes):
    source.card = replace(source.card, classes=classes)
    return source


@pytest.fixture
def known(members):
    """Both sources answer for the same three named classes."""
    return [named(source, "cat", "dog", "owl") for source in members.values()]


def test_a_pool_is_the_mean_of_the_members_probabilities(known, canvas):
    pool = Pool("pool", known, "outputs/mean_prob", {}).eval()
    wanted = torch.stack([torch.softmax(member(canvas), dim=1) for member in known]).mean(dim=0)
    assert torch.allclose(pool.probabilities(canvas), wanted, atol=1e-6)
    assert torch.allclose(pool(canvas).exp(), wanted, atol=1e-6)


def test_a_pool_is_a_source_with_logits_only(known, canvas):
    pool = Pool("pool", known, "outputs/mean_prob", {})
    assert list(pool.card.taps) == ["logits"]
    assert not pool.card.differentiable
    assert pool.card.parameters == sum(member.card.parameters for member in known)
    with pytest.raises(UserError, match="unknown tap 'vector'"):
        pool(canvas, ["vector"])


def test_freezing_a_pool_freezes_its_members(known):
    pool = Pool("pool", known, "outputs/mean_prob", {})
    pool.freeze()
    pool.train()
    assert not any(parameter.requires_grad for parameter in pool.parameters())
    assert not any(member.network.early[1].training for member in pool.members)
    with pytest.raises(UserError, match="unknown tap"):
        pool.freeze("vector")


@pytest.mark.parametrize("classes", [("dog", "cat", "owl"), ("cat", "dog", "bat")])
def test_members_of_other_classes_are_refused(classes, known):
    named(known[1], *classes)
    with pytest.raises(UserError, match="same classes in the same order"):
        Pool("pool", known, "outputs/mean_prob", {})


def test_members_of_another_number_of_classes_are_refused(known):
    with pytest.raises(UserError, match="2 classes"):
        Pool("pool", [known[0], Narrowed(known[1], ["cat", "dog"])], "outputs/mean_prob", {})


def test_a_pool_of_nothing_is_refused():
    with pytest.raises(UserError, match="at least one member"):
        Pool("pool", [], "outputs/mean_prob", {})


def test_a_pool_is_pooled_once_more(known, canvas):
    inner = Pool("inner", known, "outputs/mean_prob", {})
    outer = Pool("outer", [inner, known[0]], "outputs/mean_prob", {}).eval()
    wanted = (inner.eval()(canvas).exp() + torch.softmax(known[0](canvas), dim=1)) / 2
    assert np.allclose(outer(canvas).exp(), wanted.detach(), atol=1e-6)


def test_narrowed_gives_the_named_classes_in_the_named_order(known, canvas):
    source = known[0]
    narrow = Narrowed(source, ["owl", "cat"])
    assert torch.equal(narrow(canvas), source(canvas)[:, [2, 0]])
    assert torch.equal(narrow(canvas, ["map"])["map"], source(canvas, ["map"])["map"])
    assert narrow.card.tap("logits").width == narrow.card.class_count == 2
    assert narrow.card.classes == ("owl", "cat")


def test_narrowed_refuses_classes_that_the_source_does_not_know(known, members):
    with pytest.raises(UserError, match="does not know") as caught:
        Narrowed(known[0], ["cat", "bat"])
    assert "bat" in str(caught.value)
    with pytest.raises(UserError, match="names its classes"):
        Narrowed(named(members["fine"]), ["cat"])
