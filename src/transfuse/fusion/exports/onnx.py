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

import torch
from torch import Tensor
from torch.export import ExportedProgram

from transfuse.errors import missing_extra

TRAITS = {"suffix": ".onnx"}


def write(program: ExportedProgram, example: Tensor, path: Path, facts: Mapping[str, str]) -> None:
    """Write the graph in one file with its weights inside."""
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch asks for it late and with a long message
    except ImportError as error:
        raise missing_extra("onnx and onnxscript", "onnx", "exporting to ONNX") from error
    with _quiet():
        made = torch.onnx.export(
            program,
            (example,),
            dynamo=True,
            input_names=["canvas"],
            output_names=["probabilities"],
            verbose=False,
        )
    assert made is not None  # noqa: S101 - it is None only where a path is given; for the type checker
    graph = made.model_proto
    onnx.helper.set_model_props(graph, dict(facts))
    path.write_bytes(graph.SerializeToString(deterministic=True))


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
