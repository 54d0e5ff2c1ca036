"""A fusion is a Source: it trains, freezes, is read at its taps, and is fused again."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.errors import UserError
from transfuse.fusion.connect import connect
from transfuse.fusion.fused import turned
from transfuse.reads import VIEWS, Read

CLASSES = ("cat", "dog", "owl")


def fused(members, method="features/concat", reads=None, **more):
    top = connect(method, members, reads, CLASSES, **more)
    # A head starts at zero, through which no gradient passes; a trained one does not.
    torch.nn.init.normal_(top.crown.head.weight, generator=torch.Generator().manual_seed(0))
    return top


def test_it_starts_uniform(members, canvas):
    model = connect("features/gate", members, None, CLASSES)
    assert torch.equal(model(canvas), torch.zeros(4, 3))


@pytest.mark.parametrize("method", ["features/concat", "features/gate", "structure/share"])
def test_gradients_reach_both_members_the_crown_and_the_canvas(method, members, canvas):
    model = fused(members, method).train()
    canvas.requires_grad_(True)
    model(canvas).square().sum().backward()
    for part in (*model.members.values(), model.crown):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    assert canvas.grad.abs().sum() > 0


@pytest.mark.parametrize("method", ["features/concat", "features/gate", "structure/share"])
def test_one_member_is_enough(method, tiny, canvas):
    assert fused({"only": tiny("only")}, method)(canvas).shape == (4, 3)


def test_a_member_tap_is_what_the_member_gives(members, canvas):
    model = fused(members).eval()
    blocks = model(canvas, ["fine.vector", "logits", "wide.map"])
    assert list(blocks) == ["fine.vector", "logits", "wide.map"]
    assert torch.equal(blocks["fine.vector"], members["fine"](canvas, ["vector"])["vector"])
    assert torch.equal(blocks["wide.map"], members["wide"](canvas, ["map"])["map"])
    assert torch.equal(blocks["logits"], model(canvas))


def test_a_members_tap_runs_that_member_only(members, canvas):
    model = fused(members).eval()
    model.member("wide").blocks = None
    assert model(canvas, ["fine.vector"])["fine.vector"].shape == (4, 8)


def test_the_card_tells_the_truth(members, canvas):
    model = fused(members).eval()
    for tap, block in model(canvas, list(model.card.taps)).items():
        assert block.shape[1] == model.card.taps[tap].width, tap
    assert model.card.parameters == sum(p.numel() for p in model.parameters())
    assert (model.card.class_count, model.card.classes) == (3, CLASSES)


def test_an_undifferentiable_member_makes_the_fusion_so(members):
    members["wide"].card = copy.copy(members["wide"].card)
    object.__setattr__(members["wide"].card, "differentiable", False)
    assert not fused(members).card.differentiable


@pytest.mark.parametrize("name", ["net.v1", "a.b.c", "keys", "type", "fused", "logits"])
def test_any_name_of_a_source_works(name, tiny, canvas):
    model = fused({name: tiny("x"), "other": tiny("other", seed=3)}).eval()
    assert torch.equal(model(canvas, [f"{name}.map"])[f"{name}.map"], model.member(name)(canvas, ["map"])["map"])
    model.freeze(f"{name}.map")
    assert not any(p.requires_grad for p in model.member(name).network.early.parameters())


def test_names_that_would_hide_a_tap_are_refused(tiny):
    inner = fused({"b": tiny("b")})
    with pytest.raises(UserError, match=r"two taps would be called 'a\.b\."):
        fused({"a": inner, "a.b": tiny("other")}, reads=[Read("a", "fused"), Read("a.b", "vector")])


def test_an_unknown_tap_is_refused(members, canvas):
    with pytest.raises(UserError, match="unknown tap 'wide.mapp'"):
        fused(members)(canvas, ["wide.mapp"])


# -- freezing ----------------------------------------------------------------------------------------------------------


def trained_once(model, canvas):
    """The names of the tensors that one training step changes."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    torch.nn.functional.cross_entropy(model(canvas), torch.tensor([0, 1, 2, 0])).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def test_a_frozen_member_survives_train(members, canvas):
    model = fused(members)
    model.freeze("wide.logits")
    changed = trained_once(model, canvas)
    assert not any(name.startswith("members.wide.") for name in changed)
    assert any(name.startswith("members.fine.") for name in changed)


def test_freezing_up_to_a_tap_leaves_what_follows(members, canvas):
    model = fused(members)
    model.freeze("wide.early")
    changed = trained_once(model, canvas)
    assert not any(name.startswith("members.wide.network.early.") for name in changed)
    assert "members.wide.network.late.0.weight" in changed


def test_frozen_to_the_fused_block_only_the_head_learns(members, canvas):
    model = fused(members, "features/gate")
    model.freeze("fused")
    assert trained_once(model, canvas) == {"crown.head.weight", "crown.head.bias"}


def test_frozen_whole_nothing_learns_and_dropout_sleeps(members, canvas):
    model = fused(members)
    model.freeze()
    model.train()
    assert not any(p.requires_grad for p in model.parameters())
    assert torch.equal(model(canvas), model(canvas))


def test_a_copy_stays_frozen(members):
    model = fused(members)
    model.freeze("wide.logits")
    twin = copy.deepcopy(model).train()
    assert not twin.member("wide").network.early[1].training
    assert twin.member("fine").network.early[1].training


# -- views -------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(view=st.sampled_from(VIEWS), side=st.integers(1, 9), seed=st.integers(0, 99))
def test_a_view_is_an_exact_rearrangement_and_its_own_inverse(view, side, seed):
    canvas = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(turned(turned(canvas, view), view), canvas)
    assert torch.equal(turned(canvas, view).flatten(2).sort().values, canvas.flatten(2).sort().values)


def test_views_are_the_four_they_are_called():
    canvas = torch.arange(4.0).reshape(1, 1, 2, 2)
    found = {view: turned(canvas, view).flatten().tolist() for view in VIEWS}
    assert found == {"plain": [0, 1, 2, 3], "mirror": [1, 0, 3, 2], "flip": [2, 3, 0, 1], "turn": [3, 2, 1, 0]}


def test_copies_of_one_source_see_different_views(tiny, canvas):
    twins = {"one": tiny("one"), "two": tiny("two")}
    model = fused(twins, reads=[Read("one", "vector"), Read("two", "vector", "mirror")]).eval()
    plain, mirrored = model.member_blocks(canvas)
    assert torch.equal(plain, twins["one"](canvas, ["vector"])["vector"])
    assert torch.equal(mirrored, twins["one"](canvas.flip(3), ["vector"])["vector"])
    assert not torch.allclose(plain, mirrored)


# -- closure -----------------------------------------------------------------------------------------------------------


def test_a_fusion_is_fused_once_more(members, tiny, canvas):
    inner = fused(members, "structure/share")
    outer = fused({"inner": inner, "third": tiny("third", seed=5)}, "features/gate", taps_of(inner)).train()
    canvas.requires_grad_(True)
    outer(canvas).square().sum().backward()
    for part in (*inner.members.values(), inner.crown.body, outer.member("third")):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    assert canvas.grad.abs().sum() > 0
    deep = outer.eval()(canvas.detach(), ["inner.wide.map"])["inner.wide.map"]
    assert torch.equal(deep, members["wide"](canvas.detach(), ["map"])["map"])


def taps_of(inner):
    return [Read("inner", "fused"), Read("inner", "wide.vector"), Read("third", "vector")]


def test_a_fusion_has_weights_but_no_cut(members):
    model = fused(members)
    assert model.weights().names() == sorted(model.state_dict())
    with pytest.raises(UserError, match="cannot be cut"):
        model.cut("fused")


@pytest.mark.parametrize(
    ("method", "wanted"), [("features/concat", True), ("structure/stitch", True), ("structure/lora", False)]
)
def test_only_what_takes_something_from_training_rows_is_given_any(method, wanted, members):
    assert connect(method, members, None, ["a", "b"]).crown.settles == wanted
