"""A network that is an ONNX graph, run by onnxruntime; without it what int8 answers could only be guessed from float.

The graph's bytes are its one tensor, so it is kept, hashed, saved and measured as every model is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transfuse.errors import UserError
from transfuse.files.graphs import graph_of, session_of
from transfuse.fusion.made import Made
from transfuse.source.door import canvas_of
from transfuse.types import Card, TaskKind

INPUT, OUTPUT = "canvas", "logits"
LARGEST_BYTES = 1 << 31


class Graphed(Made):
    """canvas [N, 3, S, S] -> logits [N, C] by a graph on the CPU, with as many threads as torch has.

    No gradient goes through it and it has no taps but its logits.
    """

    graph: Tensor

    def __init__(self, card: Card, graph: bytes, kind: TaskKind = "multiclass") -> None:
        super().__init__()
        self.register_buffer("graph", torch.frombuffer(bytearray(graph), dtype=torch.uint8))
        self.kind = kind
        taps = {"logits": replace(card.tap("logits"), place="", cut=False)}
        can = {"trainable": False, "differentiable": False, "cuttable": False, "has_weights": False}
        self.card = replace(card, taps=taps, **can)
        self._session: Any = None

    @classmethod
    def blank(cls, card: Card, size: int) -> Graphed:
        """A graph of so many bytes that are still to come."""
        if not 0 < size <= LARGEST_BYTES:
            raise UserError("a graph has some bytes, and at most 2 GiB", where=f"'{card.name}'", got=f"{size:,}")
        return cls(card, bytes(size))

    @property
    def data(self) -> bytes:
        """The ONNX file."""
        return self.graph.cpu().numpy().tobytes()

    def blocks(self, batch: Tensor | Mapping[str, Any], taps: Sequence[str]) -> dict[str, Tensor]:
        for tap in taps:
            self.card.tap(tap)
        canvas = canvas_of(batch)
        if self._session is None:
            where = f"'{self.card.name}'"
            self._session = session_of(graph_of(self.data, Path(where)), where, torch.get_num_threads())
        given = np.ascontiguousarray(canvas.detach().cpu().numpy(), dtype=np.float32)
        logits = np.asarray(self._session.run([OUTPUT], {INPUT: given})[0])
        return {"logits": torch.from_numpy(logits).to(canvas.device)}

    def freeze(self, until: str | None = None) -> None:
        """Nothing in it learns."""
        if until is not None:
            self.card.tap(until)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}


def with_probabilities(model: Graphed, facts: Mapping[str, str]) -> bytes:
    """The ONNX file that answers with `probabilities`: logits over the temperature, then softmax (of labels the
    logistic function, of a regression nothing); `facts` travel in it as text by name."""
    import onnx
    from onnx import helper, numpy_helper

    made = onnx.load_model_from_string(model.data)
    graph, answer = made.graph, "probabilities"
    heat = numpy_helper.from_array(np.array(model.temperature, dtype=np.float32), "temperature")
    if model.kind == "regression":
        graph.node.append(helper.make_node("Identity", [OUTPUT], [answer]))
    else:
        graph.initializer.append(heat)
        graph.node.append(helper.make_node("Div", [OUTPUT, "temperature"], ["heated"]))
        how = "Sigmoid" if model.kind == "multilabel" else "Softmax"
        graph.node.append(helper.make_node(how, ["heated"], [answer]))
    given = graph.output[0]
    del graph.output[:]
    output = onnx.ValueInfoProto()
    output.CopyFrom(given)
    output.name = answer
    graph.output.append(output)
    helper.set_model_props(made, dict(facts))
    return made.SerializeToString(deterministic=True)
