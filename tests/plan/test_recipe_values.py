from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.plan.budget import seconds
from transfuse.plan.recipe import parse, short_name, validated, written

THREE_LINES = "sources: [torchvision:resnet18, timm:vit_tiny_patch16_224]\ndata: photos\n"


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("torchvision:resnet18@IMAGENET1K_V1", "resnet18"),
        ("timm:tf_lite0?checkpoint=../a.safetensors", "tf_lite0"),
        ("file:../assets/squeeze net.safetensors?arch=x", "squeeze_net"),
        ("demo:residual", "residual"),
        ({"spec": "timm:lite0", "taps": ["map"]}, "lite0"),
        (":", "source3"),
        (None, "nonetype3"),
    ],
)
def test_a_source_without_a_name_gets_a_readable_one(spec: Any, name: str) -> None:
    assert short_name(spec, 2) == name


@pytest.mark.parametrize(
    ("given_as", "expected"),
    [
        ("20min", 1200),
        ("20 min", 1200),
        (" 90 s ", 90),
        ("1.5h", 5400),
        ("2 hours", 7200),
        ("30 ms", 0.03),
        (5, 5),
        (0.5, 0.5),
    ],
)
def test_durations_read_with_and_without_a_blank(given_as: Any, expected: float) -> None:
    assert seconds(given_as) == pytest.approx(expected)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "min",
        "20",
        "20 parsecs",
        "-5 min",
        "0 s",
        "1e3 s",
        "1 h 5 min",
        0,
        -1,
        True,
        math.nan,
        math.inf,
        [5],
        "9" * 400 + "s",
    ],
)
def test_what_is_no_duration_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        seconds(bad)


def test_written_recipes_say_every_default_and_read_back() -> None:
    made = parse(THREE_LINES + "budget: {train: 20 min}", where="here")
    text = written(made)
    assert "seeds: 5" in text
    assert "regime" not in text
    assert parse(text, where="lock") == made
    assert written(parse(text, where="lock")) == text


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


NAMES = st.from_regex(r"[a-z0-9][a-z0-9._+-]{0,5}", fullmatch=True)
OPTIONAL = {
    "margin": st.floats(0, 1e5),
    "title": TEXT,
    "seeds": st.integers(1, 1000),
    "candidates": st.lists(TEXT) | st.dictionaries(TEXT, VALUES, max_size=2),
    "budget": st.fixed_dictionaries({"train": st.floats(1e-3, 1e9), "latency": st.none()}),
    "train": st.dictionaries(st.sampled_from(["frozen", "full"]), st.dictionaries(TEXT, VALUES, max_size=2)),
}
RECIPES = st.fixed_dictionaries(
    {"data": VALUES, "sources": st.dictionaries(NAMES, TEXT.filter(bool), min_size=1)}, optional=OPTIONAL
)


@settings(deadline=None, max_examples=60)
@given(RECIPES)
def test_any_recipe_survives_being_written_and_read(given_values: dict[str, Any]) -> None:
    made = validated(given_values, where="python")
    assert parse(written(made), where="lock") == made


def test_what_python_gives_is_written_as_far_as_it_can_be() -> None:
    made = validated({"sources": {"mine": object()}, "data": Path("photos") / "all"}, where="python")
    text = written(made)
    assert "(object given in Python)" in text
    assert parse(text, where="lock").data == str(Path("photos") / "all")


def test_a_recipe_does_not_change_once_made() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse(THREE_LINES, where="here").seeds = 6
