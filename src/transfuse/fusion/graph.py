"""A model as one graph, canvas in, probabilities out; without it what was shipped would need this package to run.

The temperature is inside, and so is each source's own preparation. A pool of predictions is a graph where its method
offers one: `graph(state, probabilities [K, N, C]) -> [N, C]` on tensors, the same law as its `apply`.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from transfuse.errors import TransfuseError, UserError, first_line
from transfuse.fusion.graphed import Graphed, with_probabilities
from transfuse.fusion.lowered import Lowered
from transfuse.fusion.outputs_lift import KNOWN
from transfuse.fusion.pooled import Pool
from transfuse.jsonio import file_digest
from transfuse.kinds import LEAST_PROBABILITY
from transfuse.registry import find, method
from transfuse.source.base import Source
from transfuse.store import require_free, write_bytes

SHELF = "fusion/exports"
LARGEST_BATCH = 1 << 16
TOLERANCE = 1e-5


class Answering(nn.Module):
    """softmax(logits / temperature): canvas [N, 3, S, S] in [0, 1] to probabilities [N, C].

    Of labels sigmoid(logits / temperature) of each; of a regression the numbers [N, T] themselves.
    """

    def __init__(self, model: Source) -> None:
        super().__init__()
        self.logits = logits_of(model)
        self.temperature = float(model.temperature)
        self.kind = model.kind

    def forward(self, canvas: Tensor) -> Tensor:
        if self.kind == "regression":
            return self.logits(canvas).float()
        scores = self.logits(canvas).float() / self.temperature
        return torch.sigmoid(scores) if self.kind == "multilabel" else torch.softmax(scores, dim=1)


class PoolGraph(nn.Module):
    """A pool on tensors: its members' probabilities, pooled by its method's `graph`; log-probabilities come out."""

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self.members = nn.ModuleList([logits_of(member) for member in pool.members])  # pyright: ignore
        module = method(pool.method).load()
        if not hasattr(module, "graph"):
            raise UserError(
                f"{pool.method} has no form as a graph, so this pool cannot be exported",
                where=f"'{pool.card.name}'",
                hint="export its members one by one, or ship it with `transfuse predict`",
            )
        if KNOWN in pool.state:
            raise UserError(
                "a pool of members that know different classes has no form as a graph", where=f"'{pool.card.name}'",
                hint="ship it with `transfuse predict`, or teach a student: objective: amalgamate",
            )  # fmt: skip
        self.pooled = module.graph
        self.state = {name: torch.as_tensor(array).double() for name, array in pool.state.items()}
        self.kind = pool.kind

    def forward(self, canvas: Tensor) -> Tensor:
        if self.kind == "regression":
            return self.pooled(self.state, torch.stack([member(canvas).double() for member in self.members]))
        if self.kind == "multilabel":
            yes = torch.stack([torch.sigmoid(member(canvas).double()) for member in self.members])
            # Every label of every item is a question of two classes, as in `kinds_lift`.
            questions = yes.reshape(yes.shape[0], -1)
            pooled = self.pooled(self.state, torch.stack([1 - questions, questions], dim=2))[:, 1]
            return torch.logit(pooled.reshape(yes.shape[1:]), eps=LEAST_PROBABILITY)
        each = torch.stack([torch.softmax(member(canvas).double(), dim=1) for member in self.members])
        return self.pooled(self.state, each).clamp_min(LEAST_PROBABILITY).log()


def logits_of(model: Source) -> nn.Module:
    """What gives a model's logits [N, C] as part of a graph."""
    return PoolGraph(model) if isinstance(model, Pool) else model


def program_of(model: Source, canvas: int, answering: nn.Module | None = None) -> tuple[ExportedProgram, Tensor]:
    """The model as an exported graph for any number of images of one size, and the canvas it was traced with.

    What is traced gives probabilities unless `answering` is given. Raises: `UserError` where the model has no form as a
    graph, naming what stands in the way.
    """
    answering = Answering(model.eval()).eval() if answering is None else answering.eval()
    example = torch.linspace(0, 1, 2 * 3 * canvas * canvas).reshape(2, 3, canvas, canvas)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            dimensions = {"canvas": {0: Dim("images", min=1, max=LARGEST_BATCH)}}
            return torch.export.export(answering, (example,), dynamic_shapes=dimensions, strict=False), example
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 - a source's own code may fail in any way while it is traced
        raise UserError(
            "this model cannot be traced into one graph", where=f"'{model.card.name}'", got=first_line(error, 300)
        ) from error


def export(model: Source, form: str, canvas: int, path: Path, facts: Mapping[str, str]) -> Path:
    """Write the model in a form of the shelf, after the graph has answered as the model does; gives the path.

    Raises: `UserError` for an unknown form, for what cannot be a graph and where another file has the name,
    `TransfuseError` where the two differ.
    """
    entry = find(SHELF, form)
    if isinstance(model, Graphed):
        return _write_graph(model, form, path, facts)
    if form == "onnx" and any(isinstance(part, Lowered) for part in model.modules()):
        raise UserError(
            "onnxruntime runs no convolution in bfloat16 on a CPU, so this network has no ONNX form",
            where=f"'{model.card.name}'", hint="--what torch_export, or compress: quantise",
        )  # fmt: skip
    program, example = program_of(model, canvas)
    _require_equal(program, model, canvas)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.tmp{entry.traits['suffix']}")
    try:
        entry.load().write(program, example, scratch, facts)
        require_free(path, file_digest(scratch))
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    return path


def _write_graph(model: Graphed, form: str, path: Path, facts: Mapping[str, str]) -> Path:
    """A network that is a graph already, with its temperature and what makes probabilities of logits behind it."""
    if form != "onnx":
        raise UserError(
            "a quantised network is an ONNX graph and leaves as one", where=f"'{model.card.name}'", hint="--what onnx"
        )
    data = with_probabilities(model, facts)
    require_free(path, hashlib.sha256(data).hexdigest())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, data)
    return path


def _require_equal(program: ExportedProgram, model: Source, canvas: int) -> None:
    """One image and three, unlike the traced ones: a batch size or a branch that was baked in would show."""
    generator = torch.Generator().manual_seed(0)
    run = program.module()
    for count in (1, 3):
        images = torch.rand(count, 3, canvas, canvas, generator=generator)
        with torch.no_grad():
            wanted = model(images) if model.kind == "regression" else model.probabilities(images)
            apart = float((run(images) - wanted).abs().max())
        # Numbers of a regression may be large, and so may be the rounding of float32.
        if not apart <= TOLERANCE * max(1.0, float(wanted.abs().max())):
            raise TransfuseError(f"the exported graph answers differently from the model, by {apart:.2g}")
