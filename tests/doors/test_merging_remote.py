"""URLs among the words of `transfuse merge` and `transfuse inspect`."""

from __future__ import annotations

import json

import fsspec
import numpy as np
import pytest
from safetensors.numpy import load, save
from typer.testing import CliRunner

from transfuse.doors.cli import app
from transfuse.doors.merging import named_sources
from transfuse.errors import UserError

RUN = CliRunner()


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    for name, value in (("a", 2.0), ("b", 4.0)):
        system.pipe_file(
            f"/models/{name}.safetensors", save({"w": np.full((3, 2), value, np.float32)}, {"made": "here"})
        )
    return system


def said(*words: str) -> str:
    result = RUN.invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_urls_are_merged_into_a_url(memory):
    words = ("merge", "mean", "memory://models/a.safetensors", "b=memory://models/b.safetensors")
    assert "weights/mean of a, b\nwritten: memory://out/m.safetensors" in said(
        *words, "--out", "memory://out/m.safetensors"
    )
    assert load(memory.cat_file("/out/m.safetensors"))["w"].tolist() == [[3.0] * 2] * 3


def test_names_come_from_urls_as_from_paths(memory):
    assert list(named_sources(["memory://models/a.safetensors", "memory://models/x=1/b.safetensors"])) == ["a", "b"]
    with pytest.raises(UserError, match="two sources would be called 'a'"):
        named_sources(["memory://models/a.safetensors", "memory://other/a.safetensors"])


def test_a_url_is_inspected_by_its_headers_alone(memory):
    told = said("inspect", "memory://models/a.safetensors")
    assert "safetensors behind a URL" in told and "safe to load" in told and "w  F32 [3, 2]" in told
    assert "made: here" in told and "only headers were read" in told
    record = json.loads(said("inspect", "memory://models", "--json"))["memory://models"]
    assert (record["safe"], record["why"]) == (
        False,
        "tensor 'w' stands in two files of one model: a.safetensors and b.safetensors",
    )


def test_a_header_that_lies_is_not_safe(memory):
    memory.pipe_file("/models/bad.safetensors", (1 << 50).to_bytes(8, "little") + b"{}")
    told = said("inspect", "memory://models/bad.safetensors")
    assert "NOT SAFE to load" in told and "claims" in told


def test_of_several_urls_the_lineage_is_told(memory):
    told = said("inspect", "memory://models/a.safetensors", "memory://models/b.safetensors")
    assert "lineage: mergeable" in told and told.count("behind a URL") == 2


def test_nothing_behind_a_url_is_one_message(memory):
    with pytest.raises(UserError, match="no such weight file") as caught:
        RUN.invoke(app, ["inspect", "memory://models/none.safetensors"], catch_exceptions=False)
    assert caught.value.where == "memory://models/none.safetensors"
