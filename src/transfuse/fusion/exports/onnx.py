"""An ONNX file: runs with onnxruntime alone, in any language, where neither PyTorch nor this package is.

    session.run(["probabilities"], {"canvas": canvas})               canvas [N, 3, S, S] float32 in [0, 1], any N

The words that travel with it are its metadata. Needs the packages onnx and onnxscript.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from transfuse.errors import missing_extra

TRAITS = {"suffix": ".onnx"}


def write(program: ExportedProgram, example: Tensor, path: Path, facts: Mapping[str, str]) -> None:
    """Write the graph in one file with its weights inside."""
    made = graph(program, example, "probabilities")
    import onnx

    onnx.helper.set_model_props(made, dict(facts))
    path.write_bytes(made.SerializeToString(deterministic=True))


def graph(program: ExportedProgram, example: Tensor, output: str) -> Any:
    """The ONNX graph of a program, from `canvas` to an output of this name; where it was traced is not told in it."""
    try:
        import onnx  # noqa: F401 - as below
        import onnxscript  # noqa: F401 - torch asks for it late and with a long message
    except ImportError as error:
        raise missing_extra("onnx and onnxscript", "onnx", "exporting to ONNX") from error
    with _quiet():
        made = torch.onnx.export(
            program,
            (example,),
            dynamo=True,
            input_names=["canvas"],
            output_names=[output],
            verbose=False,
        )
    assert made is not None  # noqa: S101 - it is None only where a path is given; for the type checker
    found = made.model_proto
    strip(found.graph)
    for function in found.functions:
        strip(function)
    return found


def strip(graph: Any) -> None:
    """Forget where each node was traced: paths of a machine are no part of a model."""
    del graph.metadata_props[:]
    for node in graph.node:
        del node.metadata_props[:]
    for value in (*graph.value_info, *getattr(graph, "initializer", ())):
        del value.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells its progress to standard output and its own deprecations as warnings."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
