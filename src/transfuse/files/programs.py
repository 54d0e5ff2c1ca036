"""TensorFlow's SavedModels, looked at without TensorFlow: each is a program, and could read and write any file.

Only operations of an explicit list may be in what can run: arithmetic, shapes, variables, calls. The pair of functions
that saves and restores, which every SavedModel has, may hold what it needs for that, but nothing may call it.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from transfuse.errors import UnsafeFileError, UserError, first_line, missing_extra

GRAPH, VARIABLES = "saved_model.pb", "variables"
LARGEST_GRAPH_BYTES = (1 << 31) - 1
NAMES = """
    Abs Add AddN AddV2 All Any ArgMax ArgMin AvgPool BatchMatMul BatchMatMulV2 BatchToSpaceND BiasAdd
    BroadcastArgs BroadcastGradientArgs BroadcastTo Cast Ceil ClipByValue ConcatV2 Const Conv2D Conv3D Cos
    DepthToSpace DepthwiseConv2dNative Div DivNoNan Einsum Elu Equal Erf Erfc Exp ExpandDims Expm1 Fill Floor
    FloorDiv FloorMod FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Gather GatherNd GatherV2 Greater
    GreaterEqual Identity IdentityN InvertPermutation L2Loss LRN LeakyRelu Less LessEqual Log Log1p LogSoftmax
    LogicalAnd LogicalNot LogicalOr MatMul Max MaxPool MaxPoolV2 Maximum Mean Min Minimum MirrorPad Mod Mul Neg
    NoOp NotEqual OneHot OnesLike Pack Pad PadV2 Placeholder PlaceholderWithDefault Pow PreventGradient Prod
    Range Rank RealDiv Reciprocal Relu Relu6 Relu6Grad ReluGrad Reshape ResizeArea ResizeBicubic ResizeBilinear
    ResizeNearestNeighbor ReverseV2 Round Rsqrt Select SelectV2 Selu Shape ShapeN Sigmoid SigmoidGrad Sign Sin
    Size Slice Softmax Softplus Softsign SpaceToBatchND SpaceToDepth Split SplitV Sqrt Square SquaredDifference
    Squeeze StopGradient StridedSlice Sub Sum Tan Tanh TanhGrad Tile TopKV2 Transpose Unpack Where Xdivy Xlogy
    ZerosLike
"""
ARITHMETIC = frozenset(NAMES.split())
HELD = frozenset(("VarHandleOp", "ReadVariableOp", "AssignVariableOp", "VarIsInitializedOp", "DisableCopyOnRead"))
CALLS = frozenset(("PartitionedCall", "StatefulPartitionedCall"))
ALLOWED = ARITHMETIC | HELD | CALLS
# What saves and restores, by TensorFlow's own names of both functions.
SAVERS = ("__inference__traced_save_", "__inference__traced_restore_")
SAVING = frozenset((
    "MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename", "StaticRegexFullMatch", "StringJoin",
))  # fmt: skip


def program_files(folder: Path) -> list[Path]:
    """The graph, then what stands in `variables`. Raises UserError where this is no SavedModel, UnsafeFileError for
    links."""
    graph = folder / GRAPH
    if not graph.is_file():
        raise UserError("this is no SavedModel", where=str(folder), expected=f"a folder with {GRAPH}")
    found = [graph, *sorted(path for path in (folder / VARIABLES).glob("*") if path.name.startswith("variables."))]
    for path in (folder / VARIABLES, *found):
        if path.is_symlink():
            raise UnsafeFileError("this SavedModel holds a link", where=str(path))
    return found


def check_program(folder: Path) -> list[str]:
    """The names of operations that it can run. Raises UserError for what cannot be read, UnsafeFileError for operations
    that are not on the list and for what would run the functions that save."""
    path = program_files(folder)[0]
    where = str(path)
    if path.stat().st_size > LARGEST_GRAPH_BYTES:
        raise UserError("this is no SavedModel", where=where, got=f"{path.stat().st_size:,} bytes")
    parts = _parsed(path.read_bytes(), where)
    if not parts.meta_graphs:
        raise UserError("this is no SavedModel", where=where, got="no graph in it")
    found: set[str] = set()
    for part in parts.meta_graphs:
        if not part.object_graph_def.nodes:
            raise UserError(
                "this SavedModel was written by TensorFlow 1",
                where=where,
                hint="load it with TensorFlow 2 and save it again, or convert it to ONNX",
            )
        found |= _checked(part, where)
    return sorted(found)


def _checked(part: Any, where: str) -> set[str]:
    functions = {each.signature.name: each for each in part.graph_def.library.function}
    savers = {name for name in functions if name.startswith(SAVERS)}
    found: set[str] = set()
    for name, function in functions.items():
        allowed = (ARITHMETIC | HELD | SAVING) if name in savers else (ALLOWED | set(functions))
        found |= _allowed(function.node_def, allowed, where, name)
        if name not in savers and (called := _called(function.node_def) & savers):
            raise UnsafeFileError("this SavedModel would write files when it is asked", where=where, got=min(called))
    kept = {name for each in part.object_graph_def.nodes for name in each.function.concrete_functions}
    kept |= {each.bare_concrete_function.concrete_function_name for each in part.object_graph_def.nodes}
    if kept & savers:
        raise UnsafeFileError(
            "this SavedModel would write files when it is opened", where=where, got=min(kept & savers)
        )
    # Outside of functions the graph is that of the saver and of TensorFlow 1; TensorFlow 2 runs nothing of it.
    return found | _allowed(part.graph_def.node, ALLOWED | SAVING | set(functions), where, "the graph")


def _allowed(nodes: Any, allowed: frozenset[str] | set[str], where: str, name: str) -> set[str]:
    there = {node.op for node in nodes}
    if strange := sorted(there - allowed):
        raise UnsafeFileError(
            "this SavedModel is a program that may do more than compute",
            where=f"{where}, {name}",
            expected="arithmetic on images",
            got=", ".join(strange[:5]),
            hint="if you trust it: python -m tf2onnx.convert --saved-model DIR --output m.onnx, and give onnx:m.onnx",
        )
    return there


def _called(nodes: Any) -> set[str]:
    """Functions that nodes call: by name as an operation, or in an attribute."""
    return {node.op for node in nodes} | {
        name for node in nodes for one in node.attr for name in (one.value.func.name, *_listed(one.value))
    }


def _listed(value: Any) -> list[str]:
    return [each.name for each in value.list.func]


def _parsed(data: bytes, where: str) -> Any:
    try:
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise missing_extra("protobuf", "onnx", "reading a SavedModel") from error
    try:
        return _kind().FromString(data)
    except DecodeError as error:
        raise UserError("this is no SavedModel", where=where, got=first_line(error)) from error


# What is read of a SavedModel's messages: {message: {field: (number, message or "", repeated)}}, from the public
# definitions in tensorflow/core/protobuf and tensorflow/core/framework.
MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "Name": {"name": (1, "", False)},
    "Names": {"func": (9, "Name", True)},
    "Attribute": {"list": (1, "Names", False), "func": (10, "Name", False)},
    "Entry": {"key": (1, "", False), "value": (2, "Attribute", False)},
    "Node": {"name": (1, "", False), "op": (2, "", False), "attr": (5, "Entry", True)},
    "Function": {"signature": (1, "Name", False), "node_def": (3, "Node", True)},
    "Library": {"function": (1, "Function", True)},
    "Graph": {"node": (1, "Node", True), "library": (2, "Library", False)},
    "Several": {"concrete_functions": (1, "", True)},
    "Bare": {"concrete_function_name": (1, "", False)},
    "Object": {"function": (6, "Several", False), "bare_concrete_function": (8, "Bare", False)},
    "Objects": {"nodes": (1, "Object", True)},
    "Part": {"graph_def": (2, "Graph", False), "object_graph_def": (7, "Objects", False)},
    "Program": {"meta_graphs": (2, "Part", True)},
}


@functools.cache
def _kind() -> Any:
    """The class of a SavedModel's message, made of the fields above; all others are passed over."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    package, made = "transfuse.saved", descriptor_pb2.FileDescriptorProto()
    made.name, made.package, made.syntax = "saved.proto", package, "proto3"
    for name, fields in MESSAGES.items():
        message = made.message_type.add(name=name)
        for field, (number, kind, several) in fields.items():
            one = message.field.add(name=field, number=number, label=3 if several else 1, type=11 if kind else 9)
            if kind:
                one.type_name = f".{package}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(made)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Program"))
