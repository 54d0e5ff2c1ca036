"""A TensorFlow SavedModel: `tensorflow:DIR`; trained through its ONNX form where that computes the same, else frozen.

TensorFlow runs in a process of its own, after the program was looked at: operations beyond arithmetic are refused. How
images are prepared must be stated beside the source.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from transfuse.errors import UserError, unknown_name
from transfuse.source.spec import Built, Spec, local

if TYPE_CHECKING:
    from transfuse.source.frameworks.tensorflow_process import Facts

RUNTIMES = ("auto", "torch", "onnxruntime", "tensorflow")
TRAITS = {"carries": "*", "packages": "onnx onnx2pytorch onnxruntime"}
PARAMETERS = {
    "signature": {"type": "str", "default": "serving_default", "doc": "which of its functions answers"},
    "output": {"type": "str", "default": None, "doc": "which output gives the scores, where there are several"},
    "runtime": {"type": "str", "default": "auto",
                "doc": "auto, torch (an error where it cannot be trained), onnxruntime or tensorflow (always frozen)"},
}  # fmt: skip


def matches(spec: Spec) -> bool:
    """Whether this adapter serves the spec."""
    return spec.scheme == "tensorflow"


def files(spec: Spec, root: Path) -> list[Path]:
    """The graph and its variables."""
    from transfuse.files.programs import program_files

    return program_files(local(root, spec.target))


def build(spec: Spec, root: Path) -> Built:
    """The network. Raises UserError where the program takes no images, UnsafeFileError where it may do more than
    compute, MissingExtraError where no interpreter has TensorFlow."""
    from transfuse.source.frameworks.tensorflow_process import Program, known

    how = spec.options.get("runtime", "auto")
    if how not in RUNTIMES:
        raise unknown_name("runtime", how, RUNTIMES, where=spec.text)
    signature, output = spec.options.get("signature", "serving_default"), spec.options.get("output")
    facts = known(local(root, spec.target), signature, output, spec.text)
    if facts.graph and how != "tensorflow":
        return _through_onnx(facts, how, spec)
    if how in ("torch", "onnxruntime"):
        raise UserError("this program has no ONNX form", where=spec.text, got=facts.reason)
    reason = facts.reason or "the spec asks for tensorflow"
    return Built(
        Program(facts, spec.text), notes=_notes(facts), frozen=f"it answers through TensorFlow: {reason}"
    )  # fmt: skip


def _through_onnx(facts: Facts, how: str, spec: Spec) -> Built:
    from transfuse.files.graphs import graph_of
    from transfuse.source.frameworks.onnx_graph import of_model
    from transfuse.source.frameworks.onnx_source import answering

    graph = of_model(graph_of(facts.graph, Path(spec.target)), None, spec.text)
    module, frozen = answering(graph, "auto" if how == "auto" else how, spec.text)
    return Built(module, notes=_notes(facts), frozen=frozen)


def _notes(facts: Facts) -> tuple[str, ...]:
    return ("the closing softmax is left out: a source gives logits",) if facts.softmax else ()
