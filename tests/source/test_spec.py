"""Specs: what is read from a line of text, what is refused, and that torch is not needed for it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.errors import UserError
from transfuse.source.spec import REFUSED, parse, random_twin

WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=12)


def test_every_part_is_read():
    spec = parse("torchvision:resnet18@IMAGENET1K_V1")
    assert (spec.scheme, spec.target, spec.tag, spec.options) == ("torchvision", "resnet18", "IMAGENET1K_V1", {})
    spec = parse("file:a/m@2.safetensors?arch=torchvision:vgg16&classes=10")
    assert (spec.target, spec.tag) == ("a/m@2.safetensors", None)
    assert spec.options == {"arch": "torchvision:vgg16", "classes": "10"}
    assert parse("demo:residual").tag is None


@settings(deadline=None, max_examples=30)
@given(target=WORDS, tag=st.none() | WORDS, seed=st.none() | st.integers(0, 10**6))
def test_reading_is_the_inverse_of_writing(target, tag, seed):
    text = f"timm:{target}" + (f"@{tag}" if tag else "") + (f"?seed={seed}" if seed is not None else "")
    spec = parse(text)
    assert (spec.target, spec.tag, spec.seed, spec.text) == (target, tag, seed or 0, text)
    assert spec.random == (tag == "random")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("resnet18", "SCHEME:NAME"),
        ("torchvision:", "SCHEME:NAME"),
        ("torchvison:resnet18", "torchvision"),
        ("torchvision:@random", "name is missing"),
        ("torchvision:resnet18@", "name is missing"),
        ("timm:x?chekpoint=a", "checkpoint"),
        ("timm:x?checkpoint", "NAME=VALUE"),
        ("timm:x?seed=1&seed=2", "once"),
    ],
)
def test_a_bad_spec_is_refused_with_the_way_out(text, says):
    with pytest.raises(UserError, match=says):
        parse(text)


def test_what_would_run_code_is_refused_by_name_with_the_way_that_works():
    assert set(REFUSED) == {"sklearn"}
    with pytest.raises(UserError, match="FusionClassifier"):
        parse("sklearn:anything")


@pytest.mark.parametrize("value", ["-1", "1.5", "ten", "²"])
def test_a_number_must_be_natural(value):
    with pytest.raises(UserError, match="natural number"):
        parse(f"timm:x?seed={value}").number("seed", 0)


@pytest.mark.parametrize(
    ("text", "twin"),
    [
        ("torchvision:resnet18@IMAGENET1K_V1", "torchvision:resnet18@random?seed=3"),
        ("timm:lite0?checkpoint=a.safetensors", "timm:lite0@random?seed=3"),
        ("file:m.pt?arch=torchvision:vgg16&classes=10", "torchvision:vgg16@random?classes=10&seed=3"),
    ],
)
def test_the_random_twin_keeps_the_network_and_drops_the_weights(text, twin):
    assert random_twin(text, seed=3) == twin
    assert parse(twin).random


def test_a_module_has_no_random_twin():
    with pytest.raises(UserError, match="no random twin"):
        random_twin("module:Net")


def test_reading_specs_and_identities_needs_no_torch():
    code = (
        "import sys; from pathlib import Path; from transfuse.registry import shelf\n"
        "from transfuse.source.open import identity\n"
        "[entry.load() for entry in shelf('source/adapters').values()]\n"
        "identity('torchvision:resnet18@random', Path())\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
