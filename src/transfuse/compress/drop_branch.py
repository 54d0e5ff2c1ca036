"""Leave out a whole branch of a fusion: the one that is missed least, or the one named. Its source no longer runs.

In its place the crown is given what its blocks were on average over the training rows, as branch dropout does. Who is
missed least is told by training rows:

    shapley   value_k = sum over sets S without k of |S|! (K - |S| - 1)! / K! (loss(S) - loss(S + k)), K up to 6
    share     mean weight that the fusing method gives the branch; of methods that report shares
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from transfuse.compress import Rows
from transfuse.errors import UserError, unknown_name
from transfuse.fusion.fused import Fused
from transfuse.fusion.joints import Standardise
from transfuse.source.base import Source
from transfuse.train.losses import task_loss

CITATION = "Shapley, A Value for n-Person Games, 1953; Neverova et al., ModDrop, PAMI 2016"
PARAMETERS = {
    "by": {
        "type": "str", "default": "shapley", "options": ("shapley", "share", "name"), "example": "shapley",
        "doc": "who goes: the branch of least Shapley value, of least share, or the one named by `branch`",
    },
    "branch": {"type": "str", "default": "", "doc": "the branch that goes, where `by` is name"},
}  # fmt: skip
TRAITS = {"trains": True, "smaller": True, "faster": True}
COST = {"passes": 1.0}
NEEDS = ("rows",)
MOST_BRANCHES = 6


def compress(model: Source, rows: Rows, *, by: str, branch: str) -> Source:
    """The fusion without one branch. Raises UserError where there are no two, or its blocks have no average."""
    if not isinstance(model, Fused) or len(model.names) < 2:
        raise UserError("only a fusion of two or more sources has a branch to spare", where=f"'{model.card.name}'")
    joints = all(isinstance(joint, Standardise) for joint in model.crown.joints)
    if not (model.pool and joints and model.recipient is None):
        raise UserError(
            f"{model.crown.method} reads more than one vector of each source, so none can be left out",
            where=f"'{model.card.name}'", hint="fuse the others: of: [...]",
        )  # fmt: skip
    if branch and branch not in model.names:
        raise unknown_name("branch", branch, model.names, where="compress/drop_branch")
    if (by == "name") != bool(branch):
        raise UserError("`branch` names who goes, and belongs to `by: name`", got=f"by: {by}, branch: {branch!r}")
    worth = {} if branch else _worth(model, rows, by)
    rows.emit("branches", by=by, **{f"worth {name}": value for name, value in worth.items()})
    return _without(model, branch or min(model.names, key=lambda name: (worth[name], name)))


def _without(model: Fused, gone: str) -> Fused:
    members = {name: model.member(name) for name in model.names if name != gone}
    absent = {**model.absent, gone: model.member(gone).card}
    made = Fused(model.card.name, members, model.reads, model.crown, pool=model.pool, absent=absent)
    made.kind, made.temperature = model.kind, model.temperature
    return made


def _worth(model: Fused, rows: Rows, by: str) -> dict[str, float]:
    """What each branch is worth on these rows: nats (or the task's loss), or its mean share."""
    rows.wanted(f"dropping a branch by {by}")
    with torch.no_grad():
        given = [(model.crown.joined(model.member_blocks(canvas)), targets) for canvas, targets in rows]
    blocks = [torch.cat(each) for each in zip(*(block for block, _ in given), strict=True)]
    owner = [read.member for read in model.reads if read.use == "block"]
    if by == "share":
        return _shares(model, blocks, owner)
    if len(model.names) > MOST_BRANCHES:
        raise UserError(f"Shapley values of {len(model.names)} branches need too many sets", hint="by: share, or name")
    return shapley(model.names, _Loss(model, blocks, owner, torch.cat([targets for _, targets in given])))


def _shares(model: Fused, blocks: list[Tensor], owner: Sequence[str]) -> dict[str, float]:
    if not hasattr(model.crown.body, "shares"):
        raise UserError(f"{model.crown.method} reports no shares", where="compress/drop_branch", hint="by: shapley")
    with torch.no_grad():
        found = model.crown.body.shares(blocks).mean(dim=0)  # pyright: ignore[reportCallIssue]
    totals = dict.fromkeys(model.names, 0.0)
    for name, share in zip(owner, found.tolist(), strict=True):
        totals[name] += share
    return totals


class _Loss:
    """The task's loss with some branches only; the others stand at their training mean, 0 after the joints."""

    def __init__(self, model: Fused, blocks: list[Tensor], owner: Sequence[str], targets: Tensor) -> None:
        self.model, self.blocks, self.owner, self.targets = model, blocks, owner, targets

    def __call__(self, present: Sequence[str]) -> float:
        some = [
            block if name in present else torch.zeros_like(block)
            for block, name in zip(self.blocks, self.owner, strict=True)
        ]
        with torch.no_grad():
            scores = self.model.crown.head(self.model.crown.body(some))
        return float(task_loss(self.model.kind, scores, self.targets))


def shapley(names: Sequence[str], loss: _Loss) -> dict[str, float]:
    """The Shapley value of each name where a set is worth `loss(nobody) - loss(set)`; their sum is that of all."""
    known = {each: loss(each) for size in range(len(names) + 1) for each in combinations(names, size)}
    values = {}
    for name in names:
        rest, total = [other for other in names if other != name], 0.0
        for size in range(len(rest) + 1):
            weight = math.factorial(size) * math.factorial(len(rest) - size) / math.factorial(len(names))
            for each in combinations(rest, size):
                with_it = tuple(other for other in names if other in each or other == name)
                total += weight * (known[each] - known[with_it])
        values[name] = total
    return values
