"""Connecting finds every mismatch from cards alone, and says which source and which tap."""

from __future__ import annotations

import pytest
import torch

from transfuse.errors import UserError
from transfuse.fusion.connect import connect, connecting, crown
from transfuse.reads import Read
from transfuse.registry import method

CLASSES = ("cat", "dog", "owl")


def cards_of(members):
    return {name: source.card for name, source in members.items()}


@pytest.mark.parametrize(
    ("name", "reads", "mentions"),
    [
        ("features/concat", [Read("wide", "mapp")], ["unknown tap 'mapp'", "wide", "map"]),
        ("features/concat", [Read("wid", "map")], ["unknown member 'wid'", "wide"]),
        ("features/concat", [Read("wide", "logits")], ["not logits", "'wide'", "'logits'"]),
        ("structure/share", [Read("fine", "vector")], ["fuses maps", "'fine'", "'vector'", "width 8"]),
        ("features/concat", [Read("wide", "map", "upside")], ["unknown view 'upside'", "'wide'", "flip"]),
    ],
)
def test_a_read_that_does_not_fit_is_one_clean_message(name, reads, mentions, members):
    for call in (
        lambda: crown(name, cards_of(members), reads, CLASSES),
        lambda: connect(name, members, reads, CLASSES),
    ):
        with pytest.raises(UserError) as caught:
            call()
        assert all(text in str(caught.value) for text in mentions), str(caught.value)


@pytest.mark.parametrize("name", ["weights/mean", "outputs/mean_prob"])
def test_families_that_connect_nothing_are_refused_by_name(name):
    with pytest.raises(UserError, match=f"{name} does not connect"):
        connecting(name)


def test_an_unknown_method_offers_the_nearest():
    with pytest.raises(UserError, match="features/concat"):
        connecting("features/concta")


@pytest.mark.parametrize("classes", [(), ("cat",), ("cat", "dog", "cat")])
def test_fewer_than_two_distinct_classes_are_refused(classes, members):
    with pytest.raises(UserError, match="two or more distinct classes"):
        connect("features/concat", members, None, classes)


@pytest.mark.parametrize("settings", [{"dropout": 2.0}, {"dropout": "much"}, {"widht": 3}])
def test_settings_out_of_range_are_refused(settings, members):
    with pytest.raises(UserError, match=next(iter(settings))):
        connect("features/concat", members, None, CLASSES, settings=settings)


def test_no_member_is_refused():
    with pytest.raises(UserError, match="at least one source"):
        connect("features/concat", {}, None, CLASSES)


def test_the_default_reads_are_features_for_features_and_an_early_map_for_structure(members):
    assert [read.tap for read in connect("features/gate", members, None, CLASSES).reads] == ["vector", "vector"]
    shared = connect("structure/share", members, None, CLASSES)
    assert [members[read.member].card.taps[read.tap].kind for read in shared.reads] == ["map", "map"]


def test_a_seed_fixes_the_start_and_moves_no_global_state(members, global_random_state):
    before = global_random_state()
    first, again, other = (crown("features/gate", cards_of(members), None, CLASSES, seed=seed) for seed in (1, 1, 2))
    assert global_random_state() == before
    starts = [torch.cat([p.flatten() for p in top.body.adapters.parameters()]) for top in (first, again, other)]
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_an_entry_does_as_well_as_its_name(members, canvas):
    named, given = (connect(how, members, None, CLASSES).eval() for how in ("features/gate", method("features/gate")))
    assert torch.equal(named(canvas, ["fused"])["fused"], given(canvas, ["fused"])["fused"])
    assert given.crown.method == "features/gate"


def test_maps_are_averaged_for_features_and_kept_for_structure(members, canvas):
    reads = [Read("wide", "map"), Read("fine", "map")]
    shapes = {
        name: [tuple(block.shape) for block in connect(name, members, reads, CLASSES).eval().member_blocks(canvas)]
        for name in ("features/concat", "structure/share")
    }
    assert shapes == {
        "features/concat": [(4, 12), (4, 8)],
        "structure/share": [(4, 12, 8, 8), (4, 8, 16, 16)],
    }
