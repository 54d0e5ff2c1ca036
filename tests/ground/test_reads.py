from __future__ import annotations

from typing import Any

import pytest

from transfuse.errors import UserError
from transfuse.reads import Read, default_tap, early_cut, reads_of
from transfuse.registry import method
from transfuse.types import Card, Prepare, Tap

CONCAT, SHARE = method("features/concat"), method("structure/share")


def grid(name: str, side: int, **facts: Any) -> Tap:
    return Tap(name, "map", 8, f"body.{name}", size=(side, side), **facts)


def card(*taps: Tap, name: str = "a") -> Card:
    return Card(name, f"timm:{name}", "timm", "00", Prepare(32), {tap.name: tap for tap in taps}, 10)


VECTOR, LOGITS, TOKENS = (
    Tap("vector", "vector", 8, "pool"),
    Tap("logits", "logits", 10, "head"),
    Tap("tokens", "tokens", 8, "x"),
)
NET = card(grid("stem", 16), grid("layer1", 16), grid("layer2", 8), grid("layer3", 4), grid("map", 4), VECTOR, LOGITS)


@pytest.mark.parametrize(
    ("taps", "expected"),
    [
        ([grid("stem", 16), grid("layer1", 16), grid("layer2", 8), grid("late", 4), grid("map", 4)], "layer2"),
        ([grid("stem", 16), grid("one", 8), grid("two", 8), grid("map", 4)], "two"),
        ([grid("stem", 16), grid("layer1", 4), grid("map", 1)], "layer1"),
        ([grid("stem", 8), grid("body", 8), grid("map", 8)], "body"),
        ([grid("map", 8)], "map"),
        ([grid("stem", 16), grid("pooled", 8, pooled=True), grid("map", 4)], "stem"),
        ([grid("stem", 16), grid("layer1", 8)], "stem"),
    ],
)
def test_the_early_cut_is_the_deepest_map_before_the_last_halving(taps: list[Tap], expected: str) -> None:
    assert early_cut(card(*taps)) == expected


@pytest.mark.parametrize("taps", [[VECTOR, LOGITS], [grid("map", 1), VECTOR], [grid("map", 8, pooled=True)]])
def test_a_source_without_a_grid_cannot_be_cut(taps: list[Tap]) -> None:
    with pytest.raises(UserError, match="source 'a' gives no map") as caught:
        early_cut(card(*taps))
    assert caught.value.where == "timm:a"


def test_features_are_read_before_the_head_and_structure_before_the_last_halving() -> None:
    assert default_tap(CONCAT.traits, NET) == "vector"
    assert default_tap(CONCAT.traits, card(TOKENS, LOGITS)) == "tokens"
    assert default_tap(CONCAT.traits, card(grid("map", 4))) == "map"
    assert default_tap(SHARE.traits, NET) == "layer2"
    with pytest.raises(UserError, match="source 'a' has no features"):
        default_tap(CONCAT.traits, card(LOGITS))


def test_members_are_read_in_order_at_the_named_taps_or_the_default() -> None:
    cards = {"b": NET, "a": NET}
    assert reads_of(CONCAT, cards) == [Read("b", "vector"), Read("a", "vector")]
    assert reads_of(CONCAT, cards, {"b": ["map", "layer1"]}) == [
        Read("b", "map"),
        Read("b", "layer1"),
        Read("a", "vector"),
    ]


@pytest.mark.parametrize(
    ("entry", "taps", "said"),
    [
        (CONCAT, ["logits"], "fuses features, not logits"),
        (CONCAT, ["vectr"], "unknown tap 'vectr'"),
        (SHARE, ["vector"], "fuses maps"),
    ],
)
def test_what_a_method_cannot_take_is_refused_from_the_card(entry: Any, taps: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        reads_of(entry, {"a": NET}, {"a": taps})
    assert "'a'" in str(caught.value)
    assert caught.value.hint is not None


def test_a_fusion_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="needs at least one source"):
        reads_of(CONCAT, {})


def test_taps_of_a_source_that_is_not_there_are_refused() -> None:
    with pytest.raises(UserError, match="unknown source 'b'"):
        reads_of(CONCAT, {"a": NET}, {"b": ["vector"]})


def test_a_fusion_is_read_where_it_is_fused() -> None:
    assert default_tap(CONCAT.traits, card(VECTOR, Tap("fused", "vector", 8, "crown.body"), LOGITS)) == "fused"
