"""A network in an ONNX file: `onnx:model.onnx`; trained as a PyTorch network where that computes the same, else frozen.

The PyTorch form is compared with onnxruntime when the source is opened: scores within 1e-4 of the largest, gradients to
the images and every weight. Where that fails the source answers through onnxruntime, frozen, and its card says why.
How images are prepared is stated beside the source or in the file's metadata.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfuse.errors import UserError, first_line, unknown_name
from transfuse.source.spec import Built, Spec, local
from transfuse.types import Prepare

if TYPE_CHECKING:
    from transfuse.source.frameworks.onnx_graph import Graph

RUNTIMES = ("auto", "torch", "onnxruntime")
TRAITS = {"carries": "*", "packages": "onnx onnx2pytorch onnxruntime"}
PARAMETERS = {
    "output": {"type": "str", "default": None, "doc": "which output gives the scores, where there are several"},
    "runtime": {"type": "str", "default": "auto",
                "doc": "auto, torch (an error where it cannot be trained) or onnxruntime (always frozen)"},
}  # fmt: skip


def matches(spec: Spec) -> bool:
    """Whether this adapter serves the spec."""
    return spec.scheme == "onnx"


def files(spec: Spec, root: Path) -> list[Path]:
    """The graph's file."""
    return [local(root, spec.target)]


def build(spec: Spec, root: Path) -> Built:
    """The network. Raises UserError where the graph takes no images or one batch size only, UnsafeFileError for a graph
    that wants other files or operators of its own."""
    from transfuse.source.frameworks.onnx_graph import opened
    from transfuse.source.frameworks.onnx_source import answering

    how = spec.options.get("runtime", "auto")
    if how not in RUNTIMES:
        raise unknown_name("runtime", how, RUNTIMES, where=spec.text)
    path = files(spec, root)[0]
    graph = opened(path, spec.options.get("output"), spec.text)
    module, frozen = answering(graph, how, spec.text)
    notes = ("the closing softmax is left out: a source gives logits",) if graph.softmax else ()
    stated = _stated(graph, path)
    return Built(
        module=module,
        prepare=_prepare(graph, stated, path),
        licence=str(stated.get("licence", "unknown")),
        classes=tuple(map(str, stated.get("classes", ()))),
        seen=str(stated.get("seen", "unknown")),
        notes=notes,
        frozen=frozen,
    )


def _stated(graph: Graph, path: Path) -> dict[str, Any]:
    """What the file says of itself: the JSON under `transfuse.card`, or the words that an export from here carries."""
    from transfuse.source.prepare import METADATA_KEY

    words = graph.words
    try:
        if METADATA_KEY in words:
            stated = json.loads(words[METADATA_KEY])
        elif "made_by" in words and "canvas" in words:
            size = int(words["canvas"])
            stated = {"size": size, "mean": 0.0, "classes": json.loads(words.get("classes", "[]"))}
        else:
            stated = {}
    except (ValueError, RecursionError) as error:
        raise UserError("the graph's metadata cannot be read", where=str(path), got=first_line(error)) from error
    if not isinstance(stated, dict) or not isinstance(stated.get("classes", []), list):
        raise UserError("the graph's metadata is not what it should be", where=str(path), got=str(stated)[:80])
    return stated


def _prepare(graph: Graph, stated: dict[str, Any], path: Path) -> Prepare | None:
    from transfuse.source.prepare import FIELDS, stated_prepare

    own = {"size": graph.side} if graph.side else {}
    own |= {"channels": graph.channels} if graph.channels != 3 else {}
    return stated_prepare({**own, **stated}, where=str(path)) if any(name in stated for name in FIELDS) else None
