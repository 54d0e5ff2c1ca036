"""Which layers a method reads that asks for several: the ends of stages, from cards alone."""

from __future__ import annotations

from dataclasses import replace

from transfuse.levels import stage_ends
from transfuse.reads import MOST_STAGES, default_taps, stages
from transfuse.types import Card, Prepare, Tap

LEVELS = {"accepts": "map", "taps": "levels"}
LAYERS = {"accepts": "vector", "taps": "layers"}


def card(*taps: Tap) -> Card:
    """A card of these taps; `map` and the like are added by the tests that want them."""
    named = {tap.name: tap for tap in taps}
    return Card(name="a", spec="", origin="", sha256="", prepare=Prepare(size=32), taps=named, class_count=2)


def at(place: str, side: int, width: int = 8) -> Tap:
    return Tap(place, "map", width, place, size=(side, side))


def layer(place: str) -> Tap:
    return Tap(place, "tokens", 16, place, size=(5,))


VECTOR = Tap("vector", "vector", 8, "pool")
CONV = card(
    at("stem", 16), at("one.0.conv", 16, 64), at("one.0", 16), at("one", 16), at("two.0.conv", 8, 64), at("two", 8),
    at("three.conv", 4), at("three", 4), at("four", 2), at("pool", 1),
    Tap("map", "map", 8, "four", size=(2, 2)), VECTOR,
)  # fmt: skip
NAMES = [f"layers.{index}" for index in range(6)]
ENCODER = card(
    at("patches", 4),
    *(layer(name) for base in NAMES for name in (f"{base}.attention", f"{base}.mlp", base)),
    layer("layers"),
    Tap("vector", "vector", 16, "head"),
)


def test_a_stage_ends_at_the_outermost_place_of_its_grid() -> None:
    assert stage_ends(CONV) == ["one", "two", "three", "four"]


def test_a_stack_of_layers_is_a_row_of_stages() -> None:
    assert stage_ends(ENCODER) == NAMES


def test_levels_are_the_deepest_grids() -> None:
    assert default_taps(LEVELS, CONV) == ["two", "three", "four"]
    assert len(default_taps(LEVELS, CONV)) == MOST_STAGES


def test_levels_of_a_source_without_maps_are_its_last_layers() -> None:
    plain = card(*(tap for tap in ENCODER.taps.values() if tap.kind != "map"))
    assert default_taps(LEVELS, plain) == NAMES[-MOST_STAGES:]


def test_a_pooling_after_the_last_layer_is_no_stage() -> None:
    """As in VGG: between its last activation and its last pooling there is nothing that could be grafted."""
    places = [f"{grid}.{part}" for grid in ("a", "b", "c") for part in ("conv", "relu")]
    taps = [replace(at(place, 16 >> "abc".index(place[0])), cut=True) for place in places]
    whole = card(*taps, replace(at("pool", 2), cut=True), VECTOR)
    assert stages(whole) == ["a.relu", "b.relu", "c.relu"]
    assert stages(card(*taps[:2], replace(at("pool", 2), cut=True), VECTOR)) == ["a.relu", "pool"]


def test_layers_are_spread_and_end_in_the_penultimate_features() -> None:
    assert default_taps(LAYERS, ENCODER) == ["layers.0", "layers.3", "layers.5", "vector"]
    assert default_taps(LAYERS, card(at("a", 4), at("b", 2), VECTOR)) == ["a", "b", "vector"]


def test_who_asks_for_nothing_reads_one_tap() -> None:
    assert default_taps({"accepts": "vector"}, CONV) == ["vector"]


def test_a_source_without_stages_gives_what_it_has() -> None:
    assert stage_ends(card(VECTOR)) == []
    assert default_taps(LAYERS, card(VECTOR)) == ["vector"]
