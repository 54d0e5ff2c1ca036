"""Small ONNX files written node by node beside the PyTorch network that they stand for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

SIDE, CLASSES = 16, 3
PREPARE = {"size": SIDE, "mean": 0.5, "std": 0.5}


def network(seed: int = 0) -> nn.Sequential:
    """Two convolutions, a pooling and a classifier: what the files compute."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES),
        ).eval()  # fmt: skip


def write(
    path: Path,
    net: nn.Sequential,
    *,
    last: bool = False,
    softmax: bool = False,
    fixed: bool = False,
    branch: bool = False,
    domain: str = "",
    words: dict[str, Any] | None = None,
) -> Path:
    """The network as a file: channels last, with a closing softmax, for a fixed batch of 2, or through an `If` whose
    branches are the same, which has no form in PyTorch here."""
    layers = {"a": net[0], "b": net[2], "c": net[6]}
    stored = [
        numpy_helper.from_array(tensor.detach().numpy(), f"{name}.{part}")
        for name, layer in layers.items()
        for part, tensor in (("w", layer.weight), ("b", layer.bias))
    ]
    batch = 2 if fixed else "n"
    stored.append(numpy_helper.from_array(torch.tensor([2 if fixed else 0, -1]).numpy(), "flat"))
    nodes = [helper.make_node("Transpose", ["images"], ["first"], perm=[0, 3, 1, 2])] if last else []
    nodes += [
        helper.make_node("Conv", ["first" if last else "images", "a.w", "a.b"], ["x1"], strides=[2, 2], pads=[1] * 4),
        helper.make_node("Relu", ["x1"], ["x2"]),
        helper.make_node("Conv", ["x2", "b.w", "b.b"], ["x3"], pads=[1] * 4),
        helper.make_node("Relu", ["x3"], ["x4"]),
        helper.make_node("GlobalAveragePool", ["x4"], ["x5"]),
        helper.make_node("Reshape", ["x5", "flat"], ["x6"]),
    ]
    if branch:
        stored.append(numpy_helper.from_array(torch.tensor(True).numpy(), "yes"))
        names = ("yes7", "no7")
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 8]) for name in names]
        inner = [helper.make_node("Identity", ["x6"], [name]) for name in names]
        same = [helper.make_graph([node], node.output[0], [], [end]) for node, end in zip(inner, ends, strict=True)]
        nodes.append(helper.make_node("If", ["yes"], ["x7"], then_branch=same[0], else_branch=same[1]))
    scores = "scores" if softmax else "out"
    nodes.append(helper.make_node("Gemm", ["x7" if branch else "x6", "c.w", "c.b"], [scores], transB=1))
    nodes += [helper.make_node("Softmax", ["scores"], ["out"])] if softmax else []
    shape = [batch, SIDE, SIDE, 3] if last else [batch, 3, SIDE, SIDE]
    made = helper.make_model(
        helper.make_graph(
            nodes, "g", [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, [batch, CLASSES])], stored,
        ),
        opset_imports=[helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])],
        ir_version=10,
    )  # fmt: skip
    helper.set_model_props(made, {} if words is None else {"transfuse.card": json.dumps(words)})
    path.write_bytes(made.SerializeToString())
    return path
