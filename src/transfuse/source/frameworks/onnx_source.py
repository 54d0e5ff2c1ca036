"""Who answers for a graph, PyTorch or onnxruntime: without this file each kind of source that comes as a graph would
decide it anew."""

from __future__ import annotations

from torch import nn

from transfuse.errors import UserError
from transfuse.files.graphs import session_of
from transfuse.source.frameworks.onnx_equal import converting, difference
from transfuse.source.frameworks.onnx_graph import Graph
from transfuse.source.frameworks.onnx_runtime import runtime


def answering(graph: Graph, how: str, where: str) -> tuple[nn.Module, str]:
    """The network, and why it is frozen (empty where it trains). `how`: auto, torch or onnxruntime.

    Raises UserError where torch is asked for and does not compute the same.
    """
    session = session_of(graph.model, where)
    if how == "onnxruntime":
        difference(graph, None, session, where)
        network, reason = None, "the spec asks for onnxruntime"
    else:
        network, reason = converting(graph, session, where)
    if network is not None:
        return network, ""
    if how == "torch":
        raise UserError("this graph cannot be trained in PyTorch", where=where, got=reason)
    return runtime(graph, where), f"it answers through onnxruntime: {reason}"
