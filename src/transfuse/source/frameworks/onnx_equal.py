"""Whether a converted graph is the graph: without it a converter's mistake would be a plausible wrong number.

Scores are compared with onnxruntime's on random images, each alone and together; gradients must reach the images and
every weight.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transfuse.errors import UserError, first_line
from transfuse.source.frameworks.onnx_graph import Graph
from transfuse.source.frameworks.onnx_runtime import asked, probing
from transfuse.source.frameworks.onnx_torch import CANNOT, converted
from transfuse.source.taps import still

TOLERANCE = 1e-4
ROWS = 3


def difference(graph: Graph, network: nn.Module | None, session: Any, where: str) -> str:
    """Why a network is not the graph, in words; empty where it computes the same, and gradients go through it.

    Without a network only the graph is looked at. Raises UserError where the graph takes one batch size only: what it
    then gave for other batches would depend on who is in them.
    """
    images, whole = _answers(graph, session, where)
    if network is None:
        return ""
    given = torch.from_numpy(images)
    with still(network), torch.enable_grad():
        entered = given.clone().requires_grad_()
        try:
            found = network(entered)
        except CANNOT as error:
            return f"PyTorch does not run it ({first_line(error, 120)})"
        if not isinstance(found, Tensor) or found.shape != whole.shape:
            return "PyTorch gives scores of another shape"
        gap = float((found.detach() - torch.from_numpy(whole)).abs().max())
        if not gap <= TOLERANCE * max(float(np.abs(whole).max()), 1e-6):
            return f"in PyTorch its scores differ by {gap:.2g}"
        return _untaught(network, entered, found)


def _untaught(network: nn.Module, entered: Tensor, found: Tensor) -> str:
    """Why nothing could be trained, in words; empty where gradients reach the images and every parameter."""
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not learned:
        return "its weights are not floating-point numbers"
    if not found.requires_grad:
        return "no gradient goes through it"
    gradients = torch.autograd.grad(found.square().sum(), [entered, *learned], allow_unused=True)
    if gradients[0] is None or not bool(gradients[0].any()):
        return "no gradient reaches its images"
    return "" if all(gradient is not None for gradient in gradients) else "no gradient reaches some of its weights"


def _answers(graph: Graph, session: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and the runtime's scores for them, the same for each image alone and together."""
    refused: ValueError | None = None
    for side in probing(graph.side):
        images = np.random.default_rng(0).standard_normal((ROWS, graph.channels, side, side), dtype=np.float32)
        try:
            alone = np.concatenate([asked(session, graph, images[[row]], [graph.output])[0] for row in range(ROWS)])
        except ValueError as error:
            refused = error
            continue
        try:
            together = asked(session, graph, images, [graph.output])[0]
        except ValueError as error:
            raise _one_batch(where) from error
        if not np.isfinite(alone).all():
            raise UserError("this graph answers with NaN or infinity", where=where)
        most = TOLERANCE * max(float(np.abs(alone).max()), 1e-6)
        if together.shape != alone.shape or not np.allclose(together, alone, rtol=0, atol=most):
            raise _one_batch(where)
        return images, together
    if (graph.batch or 1) > 1:
        raise _one_batch(where) from refused
    raise UserError("this graph does not take images", where=where, got=str(refused))


def _one_batch(where: str) -> UserError:
    return UserError(
        "this graph was exported for one batch size",
        where=where,
        hint="export it again with a free first dimension (dynamic_shapes of torch.onnx.export)",
    )


def converting(graph: Graph, session: Any, where: str) -> tuple[nn.Module | None, str]:
    """The network, or why there is none that computes what the graph does."""
    try:
        network = converted(graph)
    except CANNOT as error:
        difference(graph, None, session, where)
        return None, f"it has no form in PyTorch ({type(error).__name__}: {first_line(error, 120)})"
    reason = difference(graph, network, session, where)
    return (None, reason) if reason else (network, "")
