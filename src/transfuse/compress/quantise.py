"""Round weights and activations to 8 bits, scales taken from training rows; onnxruntime then runs it in int8.

    w_q = clip(round(w / s_w), -127, 127), s_w per output channel        x_q = clip(round(x / s_x) + z, 0, 255)

The network becomes an ONNX graph with quantise and dequantise nodes around every layer (QDQ): activations unsigned,
weights signed and symmetric. `calibrate` says how the range of an activation is found: its least and largest value, or
cut where the distribution says so. With `reduced` weights take 7 bits, or processors without VNNI instructions would
overflow in 16-bit sums and answer otherwise than others. `spare` finds each branch its form: int8 where rounding it
alone raises the loss on the rows by no more than that, float32 where it costs more.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from transfuse.compress import Rows
from transfuse.compress._graph import onnx_of, quantiser, quiet, tidied
from transfuse.errors import UserError, unknown_name
from transfuse.fusion.fused import Fused
from transfuse.fusion.graphed import INPUT, Graphed
from transfuse.source.base import Source
from transfuse.train.losses import task_loss

CITATION = "Jacob et al., Quantization and Training of Neural Networks for Integer-Arithmetic-Only Inference, CVPR 2018"
PARAMETERS = {
    # Never read: a recipe may state it, and hears at once that no other number is to be had.
    "bits": {"type": "int", "default": 8, "low": 8, "high": 8, "doc": "bits of weights and activations; only 8"},
    "calibrate": {
        "type": "str", "default": "minmax", "options": ("minmax", "percentile", "entropy"), "example": "percentile",
        "doc": "how the range of an activation is found",
    },
    "reduced": {"type": "bool", "default": True, "doc": "weights in 7 bits, alike on every processor"},
    "branch": {"type": "str", "default": "", "doc": "the one branch that is quantised; all where it is left out"},
    "sensitivity": {
        "type": "bool", "default": False, "example": False,
        "doc": "quantise each branch alone too, and put down what the loss says",
    },
    "spare": {
        "type": "float", "default": 0.0, "low": 0.0, "high": 10.0, "example": 0.0,
        "doc": "a branch that alone in int8 raises the loss on training rows by more stays in float32; 0 rounds all",
    },
}  # fmt: skip
TRAITS = {"trains": False, "smaller": True, "faster": True, "near": 0.5}
# The graph is written and made ready, then activations' ranges are found; branch by branch where that is asked for.
COST = {
    "tap_seconds": 0.065,
    "passes": 3.0,
    "where": (
        ("sensitivity", True, {"tap_seconds": 0.095, "passes": 13.0}),
        ("spare", True, {"tap_seconds": 0.095, "passes": 13.0}),
    ),
}
NEEDS = ("rows",)
METHODS = {"minmax": "MinMax", "percentile": "Percentile", "entropy": "Entropy"}


def compress(
    model: Source, rows: Rows, *, bits: int, calibrate: str, reduced: bool, branch: str, sensitivity: bool, spare: float
) -> Source:
    """The network as an int8 graph. Raises UserError without rows, for a branch that nobody knows, and where `spare`
    leaves every branch in float32."""
    package = quantiser()
    names = model.names if isinstance(model, Fused) else ()
    if branch and branch not in names:
        raise unknown_name("branch", branch, names, where="compress/quantise")
    if spare and (branch or not names):
        got = f"branch: {branch}" if branch else f"'{model.card.name}', which is no fusion"
        raise UserError("`spare` chooses among the branches of a fusion", where="compress/quantise", got=got)
    rows.wanted("the range of every activation")
    with quiet(), contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as scratch:
        plain, ready = Path(scratch) / "plain.onnx", Path(scratch) / "ready.onnx"
        plain.write_bytes(onnx_of(model, rows.side))
        package.quant_pre_process(plain, ready, skip_symbolic_shape=True)
        made, chosen = _Quantiser(package, ready, rows, calibrate, reduced), (branch,) if branch else ()
        if sensitivity or spare:
            rises = {name: _rise(model, rows, name, made.graph((name,))) for name in names}
            chosen = _insensitive(rises, spare, rows) if spare else chosen
        return Graphed(model.card, made.graph(chosen), model.kind)


def _rise(model: Source, rows: Rows, name: str, graph: bytes) -> float:
    """By how much the loss on the rows is higher with this branch alone in int8 than in float; both are put down."""
    loss, before = _loss(Graphed(model.card, graph, model.kind), rows), _loss(model, rows)
    rows.emit("sensitivity", branch=name, loss=loss, float_loss=before)
    return loss - before


def _insensitive(rises: Mapping[str, float], spare: float, rows: Rows) -> tuple[str, ...]:
    """The branches that are rounded; nobody's name where all are, and with them all that lies behind them."""
    found = tuple(name for name, rise in rises.items() if rise <= spare)
    if not found:
        told = ", ".join(f"{name} {rise:+.4f}" for name, rise in rises.items())
        raise UserError(
            "every branch loses more in int8 than is to spare", where="compress/quantise, spare",
            expected=f"a rise of the loss by at most {spare:g}", got=told,
        )  # fmt: skip
    rows.emit("forms", int8=list(found), float32=[name for name in rises if name not in found])
    return () if len(found) == len(rises) else found


def _loss(model: Source, rows: Rows) -> float:
    total = 0.0
    with torch.no_grad():
        for canvas, targets in rows:
            total += float(task_loss(model.kind, model(canvas), targets)) * len(canvas)
    return total / rows.count


class _Quantiser:
    """The graph in `path`, quantised as a whole or in some branches."""

    def __init__(self, package: Any, path: Path, rows: Rows, calibrate: str, reduced: bool) -> None:
        self.package, self.path, self.rows = package, path, rows
        self.calibrate, self.reduced = calibrate, reduced

    def graph(self, branches: Sequence[str]) -> bytes:
        """The int8 graph; with branches only layers whose weights belong to one of them are rounded."""
        out = self.path.with_name("int8.onnx")
        package = self.package
        package.quantize_static(
            self.path,
            out,
            _Reader(self.rows),
            quant_format=package.QuantFormat.QDQ,
            activation_type=package.QuantType.QUInt8,
            weight_type=package.QuantType.QInt8,
            per_channel=True,
            reduce_range=self.reduced,
            calibrate_method=getattr(package.CalibrationMethod, METHODS[self.calibrate]),
            nodes_to_quantize=_layers(self.path, branches) if branches else None,
        )
        return tidied(out.read_bytes())


def _layers(path: Path, branches: Sequence[str]) -> Sequence[str]:
    """The nodes that stand on weights of one of these branches alone, so that a layer and its activation are rounded
    together; names of weights are those of the network."""
    import onnx

    graph, mark, wanted = onnx.load(path).graph, ".members.", [{name.replace(".", "·")} for name in branches]
    stored = {each.name for each in graph.initializer}
    owners = {name: {f".{name}".split(mark)[1].split(".")[0]} for name in stored if mark in f".{name}"}
    found = []
    for node in graph.node:
        whose = set().union(*(owners.get(name, set()) for name in node.input))
        owners |= dict.fromkeys(node.output, whose)
        found += [node.name] if whose in wanted else []
    return found


class _Reader:
    """The rows as the quantiser wants them: one batch after the other, then None."""

    def __init__(self, rows: Rows) -> None:
        self.batches = iter(rows)

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self.batches, None)
        return None if batch is None else {INPUT: batch[0].numpy()}
