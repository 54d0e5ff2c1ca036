"""What each way of dividing and joining networks promises at its start, after matching, and of what it adds."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from transfuse.errors import UserError
from transfuse.fusion.connect import connect
from transfuse.fusion.joints import pooled
from transfuse.reads import Read

CLASSES = ("cat", "dog", "owl")


def features(members, canvas):
    return [source.eval()(canvas, ["vector"])["vector"] for source in members.values()]


def joined(method, members, reads=None, classes=CLASSES, **settings):
    return connect(method, members, reads, classes, settings=settings).eval()


def fused(model, canvas):
    with torch.no_grad():
        return model(canvas, ["fused"])["fused"]


def opened_up(model):
    """The model once its new part has learned something."""
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.crown.body.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model


# -- the start ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["structure/graft", "structure/lateral"])
def test_what_is_inserted_starts_by_changing_nothing_of_the_host(method, members, canvas):
    model = joined(method, members)
    host = features(members, canvas)[0]
    assert torch.allclose(fused(model, canvas), host, atol=1e-6)
    assert not torch.allclose(fused(opened_up(model), canvas), host, atol=1e-2)


@pytest.mark.parametrize("method", ["structure/cross_stitch", "structure/lora"])
def test_networks_side_by_side_start_as_they_are(method, members, canvas):
    model = joined(method, members)
    both = torch.cat(features(members, canvas), dim=1)
    assert torch.allclose(fused(model, canvas), both, atol=1e-6)
    assert not torch.allclose(fused(opened_up(model), canvas), both, atol=1e-2)


def test_a_share_opens_the_stitches_from_the_start(members, canvas):
    both = torch.cat(features(members, canvas), dim=1)
    assert not torch.allclose(fused(joined("structure/cross_stitch", members, share=0.1), canvas), both, atol=1e-3)


def test_a_side_network_keeps_the_features_and_sends_nothing_back(members, canvas):
    for source in members.values():
        source.freeze(None)
    model = joined("structure/side", members, width=8)
    columns = fused(opened_up(model), canvas)
    both = torch.cat(features(members, canvas), dim=1)
    assert columns.shape == (4, both.shape[1] + 8)
    assert torch.allclose(columns[:, : both.shape[1]], both, atol=1e-5)


# -- stitching ---------------------------------------------------------------------------------------------------------


def test_a_network_stitched_to_itself_is_itself_again(tiny, canvas):
    twins = {"one": tiny("one"), "two": tiny("two")}
    cuts = [Read("one", "late"), Read("two", "late", use="target"), Read("two", "vector", use="target")]
    model = joined("structure/stitch", twins, cuts, match="cut")
    model.settle(torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(2)))
    assert model.crown.body.unmatched["cut"] < 1e-4
    assert torch.allclose(fused(model, canvas), features(twins, canvas)[1], atol=1e-3)


def test_matching_where_features_are_read_leaves_less_than_matching_at_the_cut(members):
    model = joined("structure/stitch", members, steps=100)
    model.settle(torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(2)))
    left = model.crown.body.unmatched
    assert left["penultimate"] < left["cut"]
    untouched = joined("structure/stitch", members, match="none")
    untouched.settle(torch.rand(8, 3, 16, 16))
    assert untouched.crown.body.unmatched == {}


def test_matching_is_the_same_for_one_seed(members):
    images = torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    first, again = (connect("structure/stitch", members, None, CLASSES, settings={"steps": 20}) for _ in range(2))
    for model in (first, again):
        model.settle(images)
    state = again.crown.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in first.crown.state_dict().items())


# -- low-rank adapters -------------------------------------------------------------------------------------------------


def test_a_parallel_adapter_is_a_small_convolution_beside_the_large_one(tiny, canvas):
    source = tiny("only")
    model = opened_up(joined("structure/lora", {"only": source}, kind="parallel"))
    by_hand = copy.deepcopy(source.network).eval()

    class Beside(nn.Module):
        def __init__(self, layer, beside):
            super().__init__()
            self.layer, self.beside = layer, beside

        def forward(self, x):
            return self.layer(x) + nn.functional.conv2d(x, self.beside[:, :, None, None], stride=self.layer.stride)

    first, second = (one.beside for one in model.crown.body.sources[0].additions)
    by_hand.early[0] = Beside(by_hand.early[0], first)
    by_hand.late[0] = Beside(by_hand.late[0], second)
    wanted = pooled(by_hand.late(by_hand.early(source.prepared(canvas))))
    assert torch.allclose(fused(model, canvas), wanted, atol=1e-5)


def test_a_low_rank_addition_has_that_rank_and_can_be_merged(tiny, canvas):
    source = tiny("only", width=8)
    model = opened_up(joined("structure/lora", {"only": source}, rank=2))
    merged = copy.deepcopy(source)
    named = dict(merged.named_parameters())
    with torch.no_grad():
        for one in model.crown.body.sources[0].additions:
            assert torch.linalg.matrix_rank(one().flatten(1)) == 2
            named[one.path] += one()
    assert torch.allclose(fused(model, canvas), merged(canvas, ["vector"])["vector"], atol=1e-5)


def test_kept_weights_follow_every_change(tiny, canvas):
    model = opened_up(joined("structure/lora", {"only": tiny("only")}))
    before = fused(model, canvas)
    assert torch.equal(fused(model, canvas), before)
    with torch.no_grad():
        model.member("only").network.early[0].weight.mul_(2)
    changed = fused(model, canvas)
    assert not torch.equal(changed, before)
    fresh = joined("structure/lora", {"only": model.member("only")})
    fresh.crown.load_state_dict(model.crown.state_dict())
    assert torch.equal(fused(fresh, canvas), changed)


# -- head surgery ------------------------------------------------------------------------------------------------------


def named(source, *names):
    source.card = replace(source.card, classes=names)
    return source


def test_a_head_whose_classes_are_all_known_answers_as_its_source(tiny, canvas):
    source = named(tiny("only"), "owl", "cat", "dog")
    own = source.eval()(canvas)
    assert torch.allclose(joined("structure/head", {"only": source})(canvas), own[:, [1, 2, 0]], atol=1e-5)


def test_several_heads_start_as_the_mean_of_their_logits(members, canvas):
    for source in members.values():
        named(source, *CLASSES)
    wanted = sum(source.eval()(canvas) for source in members.values()) / 2
    assert torch.allclose(joined("structure/head", members)(canvas), wanted, atol=1e-5)


def test_a_head_is_extended_replaced_and_redrawn(tiny, canvas):
    source = named(tiny("only"), "owl", "cat", "fox")
    own = source.eval()(canvas)
    extended = joined("structure/head", {"only": source})(canvas)
    assert torch.allclose(extended[:, [0, 2]], own[:, [1, 0]], atol=1e-5)
    assert not extended[:, 1].any()
    assert not joined("structure/head", {"only": source}, keep="none")(canvas).any()
    redrawn = joined("structure/head", {"only": source}, redraw=["cat"])(canvas)
    assert not redrawn[:, 0].any()
    assert torch.allclose(redrawn[:, 2], own[:, 0], atol=1e-5)
    with pytest.raises(UserError, match="class to redraw"):
        joined("structure/head", {"only": source}, redraw=["cow"])


def test_a_head_without_class_names_cannot_keep_rows(members):
    with pytest.raises(UserError, match=r"(?s)does not name its classes.*keep: none"):
        joined("structure/head", members)


# -- too few, too many, and wrong places -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "count", "message"),
    [
        ("structure/stitch", 1, "connects 2 networks"),
        ("structure/stitch", 3, "connects 2 networks"),
        ("structure/cross_stitch", 1, "connects 2 or more networks"),
        ("structure/graft", 1, "connects 2 or more networks"),
    ],
)
def test_a_wrong_number_of_sources_is_one_clean_message(method, count, message, tiny):
    with pytest.raises(UserError, match=message):
        joined(method, {f"s{index}": tiny(f"s{index}") for index in range(count)})


def test_a_place_where_more_crosses_is_refused_with_what_crosses(members):
    reads = [Read("wide", "early"), Read("fine", "early", use="place"), Read("fine", "late", use="place")]
    assert joined("structure/graft", members, reads)(torch.rand(1, 3, 16, 16)).shape == (1, 3)
    backward = [Read("wide", "early"), Read("fine", "late", use="place"), Read("fine", "early", use="place")]
    with pytest.raises(UserError, match="'early' does not follow from 'late'"):
        joined("structure/graft", members, backward)


def test_what_is_fused_cannot_be_divided_again_and_says_so(members, tiny):
    inner = joined("features/concat", members)
    with pytest.raises(UserError, match="nowhere before its features|cannot be cut"):
        joined("structure/cross_stitch", {"inner": inner, "other": tiny("other")})
