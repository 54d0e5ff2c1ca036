"""How images are to be prepared: defaults that cannot mislead, and one message for all that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from transfuse.errors import UserError
from transfuse.source.open import make_card
from transfuse.source.prepare import metadata, read, what_to_state
from transfuse.types import Prepare

IMAGENET = Prepare(size=224)


def test_a_mean_alone_is_only_subtracted():
    caffe = read({"size": 224, "order": "bgr", "scale": 255, "mean": [103.939, 116.779, 123.68]}, where="x")
    assert caffe == Prepare(224, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0), 255.0, "bgr")


def test_a_stated_normalisation_replaces_the_whole_of_the_base():
    prepare = read({"mean": 0.5, "std": 0.25}, where="x", base=IMAGENET)
    assert (prepare.mean, prepare.std, prepare.size) == ((0.5,) * 3, (0.25,) * 3, 224)
    assert read({"mean": [0.5] * 3}, where="x", base=IMAGENET).std == (1.0,) * 3


def test_a_scale_without_a_mean_is_refused_because_the_base_mean_is_in_other_units():
    with pytest.raises(UserError, match="mean"):
        read({"scale": 255}, where="x", base=IMAGENET)


def test_other_fields_leave_the_normalisation_alone():
    assert read({"order": "bgr"}, where="x", base=IMAGENET) == Prepare(224, order="bgr")


@pytest.mark.parametrize(("kind", "named"), [(torch.float64, "torch.float64"), (torch.bfloat16, "torch.bfloat16")])
def test_a_network_of_other_numbers_is_told_so_and_not_that_its_size_is_wrong(kind, named):
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 6 * 6, 2)).to(kind)
    with pytest.raises(UserError) as found:
        make_card("mine", network, root=Path(), canvas=8)
    assert found.value.hint == f"module.float(): images come in float32, and it has weights in {named}"
    assert make_card("mine", network.float(), root=Path(), canvas=8).class_count == 2
    assert what_to_state(network).startswith("state the size")


def test_grey_has_one_number():
    assert read({"size": 28, "mean": 0.3, "std": 0.4, "channels": 1}, where="x").mean == (0.3,)


def test_all_that_is_wrong_is_one_message():
    with pytest.raises(UserError) as caught:
        read({"size": "big", "order": "rbg", "mean": [0, 1], "std": 0}, where="source 'a'")
    for word in ("size", "order", "mean", "std", "source 'a'", "prepare: {size: 224"):
        assert word in str(caught.value)


def test_an_unknown_field_offers_the_nearest():
    with pytest.raises(UserError, match="mean"):
        read({"size": 8, "meen": 0.5}, where="x")


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(
        st.sampled_from(["size", "mean", "std", "scale"]), st.sampled_from([0, -1, None, "a", [], True, float("nan")])
    )
)
def test_nonsense_is_never_taken(stated):
    with pytest.raises(UserError):
        read({"size": 0, **stated}, where="x")


def test_metadata_that_is_no_json_object_is_refused(tmp_path):
    from safetensors.numpy import save_file

    for number, text in enumerate(("{", "[1]")):
        path = tmp_path / f"{number}.safetensors"
        save_file({}, path, metadata={"transfuse.card": text})
        with pytest.raises(UserError, match=r"transfuse\.card"):
            metadata(path)
