"""What runs inside TensorFlow's own interpreter: without it a program from a stranger would run inside the user's.

A script that needs NumPy and TensorFlow, tf2onnx for `graph`, and nothing of this package. It reads requests, a JSON
line each with arrays after it in NumPy's format, whose lengths it names, and answers in the same way. It may not fill
a file: the system refuses. The program was looked at before (`files/programs.py`).
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import sys
from typing import Any, BinaryIO

import numpy as np

OPSET = 18
# What stands between a classifier and the scores it gives without changing which numbers they are made of.
PASSING = frozenset({"Identity", "IdentityN", "BiasAdd", "Add", "AddV2", "Reshape", "Squeeze", "Mean", "Cast"})
CLASSIFYING = frozenset({"MatMul", "Conv2D"})


class Frozen:
    """A signature whose variables are numbers: images in, any of its inner values out."""

    def __init__(self, folder: str, signature: str, output: str | None) -> None:
        import tensorflow as tf  # pyright: ignore
        from tensorflow.python.framework.convert_to_constants import (  # pyright: ignore
            convert_variables_to_constants_v2,
        )

        self.tf = tf
        loaded = tf.saved_model.load(folder)
        known = sorted(loaded.signatures)
        if signature not in known:
            raise ValueError(f"it has no signature '{signature}', but {', '.join(known) or 'none'}")
        concrete = loaded.signatures[signature]
        self.outputs = list(concrete.structured_outputs)
        if output is not None and output not in self.outputs:
            raise ValueError(f"it has no output '{output}', but {', '.join(self.outputs)}")
        place = self.outputs.index(output) if output is not None else 0
        self.whole = convert_variables_to_constants_v2(concrete)
        if len(self.whole.inputs) != 1:
            raise ValueError(f"it takes {len(self.whole.inputs)} inputs, where one of images is needed")
        self.entry = self.whole.inputs[0]
        self.logits, self.softmax = _before_softmax(self.whole.outputs[place])
        self.asked: dict[tuple[str, ...], Any] = {}

    def facts(self) -> dict[str, Any]:
        """What it takes and shows."""
        shape = self.entry.shape
        sizes = None if shape.rank is None else [size or 0 for size in shape.as_list()]
        constants = [each for each in self.whole.graph.get_operations() if each.type == "Const"]
        floats = [each.outputs[0] for each in constants if each.outputs[0].dtype.is_floating]
        return {
            "type": self.entry.dtype.name,
            "sizes": sizes,
            "logits": self.logits.name,
            "softmax": self.softmax,
            "stored": sum(int(np.prod(each.shape.as_list())) for each in floats if each.shape.rank),
        }

    def shown(self, images: np.ndarray) -> dict[str, str]:
        """Places of what goes into the classifier and of the last block before it, by trying all of them."""
        entry = _classifier_entry(self.logits)
        # The first output: what else an operation gives is for gradients, or what came in.
        names = [each.outputs[0].name for each in self.whole.graph.get_operations() if each.outputs]
        before = names[: names.index(entry.name)] if entry is not None and entry.name in names else names
        floats = [name for name in before if self._value(name).dtype == self.tf.float32 and self._follows(name)]
        wanted = floats + ([entry.name] if entry is not None else [])
        found = dict(zip(wanted, self.answer(images, wanted), strict=True))
        shown = {}
        if entry is not None and found[entry.name].ndim in (2, 4):
            shown["vector"] = entry.name
        deep = [name for name in floats if _is_map(found[name], len(images))]
        return shown | ({"map": deep[-1]} if deep else {})

    def _value(self, name: str) -> Any:
        return self.whole.graph.get_tensor_by_name(name)

    def _follows(self, name: str) -> bool:
        """Whether a value is made of the images."""
        pending, seen = [self._value(name).op], set()
        while pending:
            operation = pending.pop()
            if operation is self.entry.op:
                return True
            if operation.name not in seen:
                seen.add(operation.name)
                pending += [each.op for each in operation.inputs]
        return False

    def answer(self, images: np.ndarray, names: list[str]) -> list[np.ndarray]:
        """Values by name for images as the program takes them."""
        wanted = tuple(names)
        if wanted not in self.asked:
            self.asked[wanted] = self.whole.prune(self.entry, [self._value(name) for name in wanted])
        return [np.asarray(value) for value in self.asked[wanted](self.tf.constant(images))]

    def graph(self) -> bytes:
        """The same as an ONNX file whose output is the logits."""
        import tf2onnx  # pyright: ignore

        definition = self.whole.graph.as_graph_def()
        made, _ = tf2onnx.convert.from_graph_def(
            definition, input_names=[self.entry.name], output_names=[self.logits.name], opset=OPSET
        )
        return made.SerializeToString()

    def flops(self, shape: list[int]) -> int:
        """FLOPs of one pass over images of this shape, 2 per multiply-add, of products of matrices only."""
        made, graph = [], self.whole.graph
        for each in graph.get_operations():
            if each.type in ("Conv2D", "DepthwiseConv2dNative", "MatMul") and self._follows(each.outputs[0].name):
                made.append(each)
        values = self.answer(np.zeros(shape, np.float32), [each.outputs[0].name for each in made])
        return sum(_products(each, value.shape) for each, value in zip(made, values, strict=True))


def _products(operation: Any, made: tuple[int, ...]) -> int:
    weights = operation.inputs[1].shape.as_list()
    count = int(np.prod(made))
    if operation.type == "MatMul":
        return 2 * count * weights[1 if operation.get_attr("transpose_b") else 0]
    # Kernels lie [height, width, in, out]; a depthwise one gives each channel its own.
    return 2 * count * int(np.prod(weights[:2] if operation.type.startswith("Depthwise") else weights[:3]))


def _before_softmax(value: Any) -> tuple[Any, bool]:
    while value.op.type in ("Identity", "IdentityN"):
        value = value.op.inputs[value.value_index]
    return (value.op.inputs[0], True) if value.op.type == "Softmax" else (value, False)


def _classifier_entry(value: Any) -> Any:
    while value.op.type in PASSING:
        inner = [each for each in value.op.inputs if each.op.type != "Const"]
        if not inner:
            return None
        value = inner[0]
    return value.op.inputs[0] if value.op.type in CLASSIFYING else None


def _is_map(value: np.ndarray, rows: int) -> bool:
    """Whether a value is [N, H, W, C] with more than one place."""
    return value.ndim == 4 and value.shape[0] == rows and value.shape[1] == value.shape[2] > 1


def _serve(incoming: BinaryIO, outgoing: BinaryIO) -> None:
    program: Frozen | None = None
    for line in iter(incoming.readline, b""):
        request = json.loads(line)
        given = [np.load(io.BytesIO(incoming.read(size)), allow_pickle=False) for size in request["arrays"]]
        try:
            if request["do"] == "open":
                program = Frozen(request["folder"], request["signature"], request["output"])
            told, arrays = _asked(program, request, given)
        except Exception as error:  # noqa: BLE001 - whatever a program raises is told, and the next request waits
            said = " ".join(line.strip() for line in str(error).splitlines() if line.strip())[:300]
            told, arrays = {"error": said or type(error).__name__}, []
        written = [_written(array) for array in arrays]
        outgoing.write(json.dumps({**told, "arrays": [len(each) for each in written]}).encode() + b"\n")
        outgoing.writelines(written)
        outgoing.flush()


def _written(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _asked(
    program: Frozen | None, request: dict[str, Any], given: list[np.ndarray]
) -> tuple[dict[str, Any], list[np.ndarray]]:
    if program is None:
        raise ValueError("nothing is open")
    if request["do"] == "answer":
        return {}, program.answer(given[0], request["names"])
    if request["do"] == "shown":
        return {"shown": program.shown(given[0])}, []
    if request["do"] == "graph":
        return {}, [np.frombuffer(program.graph(), np.uint8)]
    if request["do"] == "flops":
        return {"flops": program.flops(request["shape"])}, []
    return program.facts(), []


def main() -> None:
    """Serve until the other side closes."""
    outgoing = os.fdopen(os.dup(1), "wb")
    # TensorFlow and its libraries write words to the standard output, where answers go.
    os.dup2(2, 1)
    # Packages look for a place that they can write into while they are imported, and never again.
    import tensorflow  # noqa: F401  # pyright: ignore

    with contextlib.suppress(ImportError):
        import tf2onnx  # noqa: F401  # pyright: ignore
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))
    _serve(sys.stdin.buffer, outgoing)


if __name__ == "__main__":
    main()
