"""Prune whole channels: the network that is left is smaller and computes less, with no zeros in it.

In each branch every group of layers that share channels [C] loses `ratio` of them, those of least importance:

    magnitude   mean over the group's layers of |w_c|_2                          no data (Li et al., ICLR 2017)
    taylor      mean over the group's layers of |sum w_c dL/dw_c|                gradients on training rows
    norm        |gamma_c| of the group's BatchNorm                               no data (Liu et al., ICCV 2017)

Branches are pruned one by one, and the channels that the crown reads stay: a fusion that flattens or concatenates
cannot be traced as a whole, and everything after the branches is left as it was. A channel leaves all layers that know
of it (Fang et al., DepGraph, CVPR 2023). `ratio` 0 leaves the network as it is; at least one channel stays everywhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from transfuse.compress import Rows
from transfuse.compress._branches import Branch, branches, named, rebuilt
from transfuse.errors import UserError, first_line, missing_extra
from transfuse.fusion.joints import pooled
from transfuse.source.base import Source
from transfuse.train.losses import task_loss

CITATION = "Fang, Ma, Song, Mi, Wang, DepGraph: Towards Any Structural Pruning, CVPR 2023"
PARAMETERS = {
    "ratio": {
        "type": "float", "default": 0.5, "low": 0.0, "high": 0.95, "example": 0.3,
        "doc": "share of the channels that every group of layers loses",
    },
    "by": {
        "type": "str", "default": "magnitude", "options": ("magnitude", "taylor", "norm"), "example": "taylor",
        "doc": "what importance is: size of weights, what the loss feels of them, or BatchNorm's scale",
    },
    "branch": {"type": "str", "default": "", "doc": "the one branch that is pruned; all where it is left out"},
    "multiple": {
        "type": "int", "default": 1, "low": 1, "high": 64, "example": 2,
        "doc": "layers keep a multiple of so many channels, which some processors want",
    },
}  # fmt: skip
TRAITS = {"trains": True, "smaller": True, "faster": True}
COST = {"seconds": 1.0, "where": (("by", "taylor", {"backward": 1.0}),)}
NEEDS = ("rows",)


def compress(model: Source, rows: Rows, *, ratio: float, by: str, branch: str, multiple: int) -> Source:
    """The network with fewer channels. Raises UserError for a branch without a trace, or without what `by` needs."""
    found = branches(model, "compress/prune")
    chosen = [named(found, branch)] if branch else found
    if not ratio:
        return model
    if by == "taylor":
        _feel(model, rows)
    for each in chosen:
        _prune(each, rows.example(), (ratio, by, multiple))
    model.zero_grad(set_to_none=True)
    return rebuilt(model, rows.side)


def _feel(model: Source, rows: Rows) -> None:
    """Gradients of the mean loss over the rows, left in the parameters."""
    rows.wanted("importance by 'taylor'")
    for canvas, targets in rows:
        (task_loss(model.kind, model(canvas), targets) * (len(canvas) / rows.count)).backward()


class _Read(nn.Module):
    """What is read of a branch, each tap ending in a layer that marks its channels as needed outside."""

    def __init__(self, branch: Branch, canvas: Tensor) -> None:
        super().__init__()
        self.source = branch.source
        self.taps = branch.taps
        with torch.no_grad():
            blocks = [pooled(block) for block in self.source.blocks(canvas, self.taps).values()]
        self.ends = nn.ModuleList(nn.Linear(block.shape[1], 1) for block in blocks)
        for parameter in self.parameters():
            # What no answer rests on has no gradient, and the loss does not feel it.
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad

    def forward(self, canvas: Tensor) -> Tensor:
        blocks = self.source.blocks(canvas, self.taps)
        ends = zip(self.ends, self.taps, strict=True)
        return torch.stack([end(pooled(blocks[tap])) for end, tap in ends]).sum(0)


def _prune(branch: Branch, canvas: Tensor, how: tuple[float, str, int]) -> None:
    """Take the least important channels out of one branch, in place."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torch_pruning
    except ImportError as error:
        raise missing_extra("torch-pruning", "compress", "pruning whole channels") from error
    ratio, by, multiple = how
    package: Any = torch_pruning
    norms = [
        module for module in branch.source.network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]
    if by == "norm" and not norms:
        raise UserError(
            f"the branch '{branch.name}' has no BatchNorm whose scale could tell", where="compress/prune, by",
            got="by: norm", hint="by: magnitude",
        )  # fmt: skip
    network, before = _Read(branch, canvas), sum(each.numel() for each in branch.source.network.parameters())
    free = {name: each.requires_grad for name, each in network.named_parameters()}
    try:
        with _quiet():
            pruner = package.pruner.BasePruner(
                network, canvas, _importance(package, by), pruning_ratio=ratio,
                ignored_layers=list(network.ends), **({"round_to": multiple} if multiple > 1 else {}),
            )  # fmt: skip
            ends = set(network.ends)
            for group in pruner.step(interactive=True) or ():
                if not any(dependency.target.module in ends for dependency, _ in group):
                    group.prune()
    except (RuntimeError, ValueError, IndexError, KeyError, AttributeError, AssertionError, TypeError) as error:
        raise UserError(
            f"the branch '{branch.name}' cannot be traced for pruning", where=branch.source.where,
            got=first_line(error),
            hint="compress/magnitude, compress/quantise and compress/bfloat16 need no tracing of channels",
        ) from error  # fmt: skip
    for name, each in network.named_parameters():
        each.requires_grad_(free[name])
    if sum(each.numel() for each in branch.source.network.parameters()) >= before:
        raise UserError(
            f"nothing could be pruned in the branch '{branch.name}'", where=branch.source.where,
            got=f"ratio {ratio:g}: every group of channels is read from outside, or too narrow",
        )  # fmt: skip


def _importance(package: Any, by: str) -> Callable[..., Any]:
    """How much a group's channels matter [C]."""
    shelf = package.pruner.importance
    if by == "taylor":
        return shelf.GroupTaylorImportance(group_reduction="mean")
    if by == "norm":
        return shelf.BNScaleImportance(group_reduction="mean")
    return shelf.GroupMagnitudeImportance(p=2, group_reduction="mean")


@contextmanager
def _quiet() -> Iterator[None]:
    """The package warns of every layer that it meets outside of a group."""
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        yield
