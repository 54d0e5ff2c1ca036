"""SavedModels without TensorFlow: the messages that a reader looks at, made of the same fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transfuse.files.programs import GRAPH, VARIABLES, _kind

SAVE, RESTORE = "__inference__traced_save_7", "__inference__traced_restore_9"
PLAIN: Mapping[str, Sequence[str]] = {
    "__inference_serve_1": ("ReadVariableOp", "Conv2D", "BiasAdd", "Relu", "Mean", "MatMul", "Softmax"),
    "__inference_signature_wrapper_2": ("StatefulPartitionedCall", "Identity"),
    SAVE: ("ReadVariableOp", "MergeV2Checkpoints", "SaveV2", "ShardedFilename"),
    RESTORE: ("RestoreV2", "AssignVariableOp"),
}


def message(
    functions: Mapping[str, Sequence[str]] = PLAIN,
    *,
    kept: Sequence[str] = ("__inference_serve_1",),
    bare: Sequence[str] = (),
    calls: Mapping[str, str] | None = None,
    listed: Mapping[str, str] | None = None,
    graph: Sequence[str] = ("VarHandleOp", "StatefulPartitionedCall"),
) -> Any:
    """Functions by the operations in them; the objects keep those in `kept` and `bare`. `calls` says which function's
    first operation names which other one in an attribute, `listed` in a list of them."""
    made = _kind()()
    part = made.meta_graphs.add()
    for name in graph:
        part.graph_def.node.add(op=name)
    for name, operations in functions.items():
        function = part.graph_def.library.function.add()
        function.signature.name = name
        for operation in operations:
            function.node_def.add(op=operation)
        if calls and name in calls:
            function.node_def[0].attr.add(key="f").value.func.name = calls[name]
        if listed and name in listed:
            function.node_def[0].attr.add(key="branches").value.list.func.add(name=listed[name])
    part.object_graph_def.nodes.add()
    part.object_graph_def.nodes.add().function.concrete_functions.extend(kept)
    for name in bare:
        part.object_graph_def.nodes.add().bare_concrete_function.concrete_function_name = name
    return made


def written(folder: Path, made: Any = None) -> Path:
    """A folder with this program and something in its variables."""
    (folder / VARIABLES).mkdir(parents=True, exist_ok=True)
    (folder / GRAPH).write_bytes((message() if made is None else made).SerializeToString())
    for name in ("variables.index", "variables.data-00000-of-00001"):
        (folder / VARIABLES / name).write_bytes(b"numbers")
    return folder
