"""A network as an ONNX graph from canvas to logits, proven equal before anything is rounded; without it an error of
tracing would be taken for an error of rounding."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transfuse.errors import TransfuseError, missing_extra
from transfuse.files.graphs import session_of
from transfuse.fusion.exports.onnx import graph
from transfuse.fusion.graph import logits_of, program_of
from transfuse.fusion.graphed import OUTPUT
from transfuse.source.base import Source

TOLERANCE = 1e-3


class Logits(nn.Module):
    """Canvas [N, 3, S, S] to logits [N, C], without temperature."""

    def __init__(self, model: Source) -> None:
        super().__init__()
        self.model = logits_of(model)

    def forward(self, canvas: Tensor) -> Tensor:
        return self.model(canvas).float()


def onnx_of(model: Source, side: int) -> bytes:
    """The network as ONNX. Raises TransfuseError where the graph answers otherwise than the network."""
    program, example = program_of(model, side, Logits(model))
    made = graph(program, example, OUTPUT)
    session = session_of(made, f"'{model.card.name}'")
    canvas = torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = model(canvas).float().numpy()
    gap = np.abs(session.run([OUTPUT], {"canvas": canvas.numpy()})[0] - wanted).max()
    if not gap <= TOLERANCE * max(1.0, float(np.abs(wanted).max())):
        raise TransfuseError(f"the graph of '{model.card.name}' answers differently from the network, by {gap:.2g}")
    return made.SerializeToString(deterministic=True)


def tidied(found: bytes) -> bytes:
    """A graph without what its tools leave behind: unused kinds of operators, and where nodes came from."""
    import onnx

    from transfuse.fusion.exports.onnx import strip

    made = onnx.load_model_from_string(found)
    used = {node.domain for node in made.graph.node} | {node.domain for each in made.functions for node in each.node}
    kept = [each for each in made.opset_import if each.domain in used | {""}]
    del made.opset_import[:]
    made.opset_import.extend(kept)
    del made.metadata_props[:]
    strip(made.graph)
    return made.SerializeToString(deterministic=True)


def quantiser() -> Any:
    """onnxruntime's quantisation. Raises MissingExtraError where it is not installed."""
    try:
        import onnx  # noqa: F401 - onnxruntime asks for it late
        import onnxscript  # noqa: F401 - so does torch's exporter
        from onnxruntime import quantization
    except ImportError as error:
        raise missing_extra("onnx, onnxruntime and onnxscript", "compress", "quantising to int8") from error
    return quantization


@contextmanager
def quiet() -> Iterator[None]:
    """The quantiser warns through the root logger of what has been done already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
