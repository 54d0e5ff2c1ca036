"""ONNX files from strangers: external data, foreign operators and damage are refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from transfuse.errors import UnsafeFileError, UserError
from transfuse.files.graphs import opened_graph

FACTS = {"classes": '["a", "b"]', "canvas": "4", "arm": "x"}


def graph(path: Path, facts: dict[str, str] | None = None, *, domain: str = "", out: str = "probabilities") -> Path:
    """The mean of each canvas and one minus it, as two probabilities."""
    canvas = helper.make_tensor_value_info("canvas", TensorProto.FLOAT, ["n", 3, 4, 4])
    found = helper.make_tensor_value_info(out, TensorProto.FLOAT, ["n", 2])
    one = numpy_helper.from_array(np.ones(1, np.float32), "one")
    axes = numpy_helper.from_array(np.array([1, 2, 3]), "axes")
    shape = numpy_helper.from_array(np.array([-1, 1]), "shape")
    nodes = [
        helper.make_node("ReduceMean", ["canvas", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["column"]),
        helper.make_node("Sub", ["one", "column"], ["rest"]),
        helper.make_node("Concat", ["column", "rest"], [out], axis=1),
    ]
    made = helper.make_model(
        helper.make_graph(nodes, "g", [canvas], [found], [one, axes, shape]),
        opset_imports=[helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])],
        ir_version=10,
    )
    helper.set_model_props(made, FACTS if facts is None else facts)
    path.write_bytes(made.SerializeToString())
    return path


def test_a_sound_graph_runs_and_says_what_it_is(tmp_path: Path):
    run, facts = opened_graph(graph(tmp_path / "m.onnx"))
    images = np.random.default_rng(0).random((3, 3, 4, 4), dtype=np.float32)
    mean = images.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(run(images), np.stack([mean, 1 - mean], axis=1), atol=1e-6)
    assert (facts.classes, facts.canvas, facts.arm) == (("a", "b"), 4, "x")


def test_weights_in_other_files_are_refused_unread(tmp_path: Path):
    """The path points outside the folder; nothing there is opened."""
    model = onnx.load(graph(tmp_path / "m.onnx"))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UnsafeFileError, match="other files"):
        opened_graph(tmp_path / "m.onnx")


def test_a_tensor_hidden_in_a_branch_is_found(tmp_path: Path):
    model = onnx.load(graph(tmp_path / "m.onnx"))
    hidden = numpy_helper.from_array(np.ones(1, np.float32), "hidden")
    hidden.ClearField("raw_data")
    hidden.data_location = TensorProto.EXTERNAL
    hidden.external_data.add().key = "location"
    inner = helper.make_graph([], "inner", [], [], [hidden])
    yes = helper.make_node("If", ["one"], ["chosen"], then_branch=inner, else_branch=inner)
    model.graph.node.append(yes)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UnsafeFileError, match="hidden"):
        opened_graph(tmp_path / "m.onnx")


def test_operators_of_a_foreign_library_are_refused(tmp_path: Path):
    with pytest.raises(UnsafeFileError, match=r"evil\.ops"):
        opened_graph(graph(tmp_path / "m.onnx", domain="evil.ops"))


@pytest.mark.parametrize(
    "facts",
    [{}, {"classes": "[]", "canvas": "4"}, {"classes": '["a", "b"]', "canvas": "0"}, {"classes": "{", "canvas": "4"},
     {"classes": '["a", "b"]', "canvas": "100000"}, {"classes": '["a", "b"]', "canvas": "x"}],
)  # fmt: skip
def test_a_graph_that_does_not_say_what_it_answers_is_refused(tmp_path: Path, facts: dict[str, str]):
    with pytest.raises(UserError, match="which classes"):
        opened_graph(graph(tmp_path / "m.onnx", facts))


@pytest.mark.parametrize("data", [b"", b"not a graph", bytes(range(256)) * 20])
def test_damage_is_one_clean_message(tmp_path: Path, data: bytes):
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(UserError):
        opened_graph(tmp_path / "m.onnx")


def test_absent_files_and_other_outputs_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="no such file"):
        opened_graph(tmp_path / "m.onnx")
    with pytest.raises(UserError, match="not one exported here"):
        opened_graph(graph(tmp_path / "m.onnx", out="logits"))
