"""What every compression goes through: a copy of its own, proof that the answer still comes, and what was won.

Without it a compression that forgets a branch, lets a gradient die or mixes up signs would give a plausible model.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from transfuse.compress import Rows
from transfuse.errors import UserError
from transfuse.fusion.graphed import Graphed
from transfuse.fusion.lowered import Lowered
from transfuse.fusion.pooled import Pool
from transfuse.fusion.rounded import Rounded
from transfuse.fusion.viewed import Viewed
from transfuse.registry import Entry
from transfuse.source.base import Source
from transfuse.source.layout import guarded
from transfuse.source.shrunk import shapes_of

# Of the answers that the copy must keep: so many rows say whether it does.
ASKED = 64
# The least spread of logits that a change is measured by; a head that has learned nothing gives zeros.
LEAST_SPREAD = 1e-3
# What has gone through one of these is in its last form.
LAST = (Graphed, Lowered, Rounded, Viewed)


@dataclass(frozen=True)
class Compressed:
    """A compressed network and what is told of it: how far its answers moved on the rows it was shown, and its size."""

    model: Source
    told: dict[str, Any]


def compressed(entry: Entry, model: Source, rows: Rows, settings: Mapping[str, Any]) -> Compressed:
    """The network compressed by a method; what was given stays as it is.

    Raises UserError for what cannot be compressed, for settings that the method refuses, and where the result answers
    otherwise than the method promises or can no longer learn.
    """
    given = entry.settings(settings)
    _refuse(model, entry)
    own = copy.deepcopy(model).eval()
    before = shapes_of(own)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = entry.load().compress(own, rows, **given)
    if not isinstance(made, LAST) and shapes_of(made) != {name: before.get(name) for name in shapes_of(made)}:
        made.shrunk = True  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
    guarded(made).eval()
    canvas = _canvas(rows)
    told = _answers(entry, model, made, canvas)
    if entry.traits.get("trains"):
        _require_learning(entry, made, canvas)
    size = {"stored_bytes": stored_bytes(made), "stored_bytes_before": stored_bytes(model)}
    return Compressed(made, told | size | {"rows": rows.count})


def _refuse(model: Source, entry: Entry) -> None:
    if isinstance(model, Pool):
        raise UserError(
            f"{entry.full_name} works on one network, and this is a pool of predictions", where=f"'{model.card.name}'",
            hint="compress its members one by one and pool these",
        )  # fmt: skip
    if isinstance(model, LAST):
        raise UserError(
            f"{entry.full_name} needs a network whose weights can be taken apart", where=f"'{model.card.name}'",
            got=_last(model), hint="prune first, then lower the precision; views come last",
        )  # fmt: skip


def _last(model: Source) -> str:
    if isinstance(model, Viewed):
        return "one that answers by several views already"
    return "one in bfloat16 already" if isinstance(model, Lowered) else "one that is quantised already"


def _canvas(rows: Rows) -> Tensor:
    """Rows to try the network on: the first of those given, else a ramp."""
    found: list[Tensor] = []
    for canvas, _ in rows:
        found.append(canvas)
        if sum(map(len, found)) >= ASKED:
            break
    return torch.cat(found)[:ASKED] if found else rows.example()


def _answers(entry: Entry, model: Source, made: Source, canvas: Tensor) -> dict[str, float]:
    """`moved`: root mean square change of the logits as a share of their spread; `agree`: rows with the same class."""
    with torch.no_grad():
        wanted, found = (_centred(each.eval()(canvas), each.kind) for each in (model, made))
    if found.shape != wanted.shape:
        raise UserError(
            f"{entry.full_name} gives another kind of answer", expected=str(wanted.shape), got=str(found.shape)
        )
    if not bool(found.isfinite().all()):
        raise UserError(f"after {entry.full_name} the network answers NaN or infinity", where=f"'{model.card.name}'")
    spread = float(wanted.double().square().mean().sqrt())
    moved = float((found - wanted).double().square().mean().sqrt()) / max(spread, LEAST_SPREAD)
    near = entry.traits.get("near")
    if near is not None and not moved <= near:
        raise UserError(
            f"after {entry.full_name} the network answers otherwise", where=f"'{model.card.name}'",
            expected=f"logits that move by at most {near:g} of their spread", got=f"{moved:.3g}",
        )  # fmt: skip
    agree = float((found.argmax(dim=1) == wanted.argmax(dim=1)).double().mean())
    return {"moved": moved, "agree": agree}


def _centred(scores: Tensor, kind: str) -> Tensor:
    """Logits of classes without what all of a row share, which no probability knows of; else scores as they are."""
    scores = scores.float()
    return scores - scores.mean(dim=1, keepdim=True) if kind == "multiclass" else scores


def _require_learning(entry: Entry, made: Source, canvas: Tensor) -> None:
    """A gradient reaches every parameter that an answer rests on, and is a number."""
    free = {name: each for name, each in made.named_parameters() if each.requires_grad}
    with torch.enable_grad():
        made(canvas[:2]).square().sum().backward()
    reached = {name: each.grad for name, each in free.items() if each.grad is not None}
    made.zero_grad(set_to_none=True)
    broken = [name for name, grad in reached.items() if not bool(grad.isfinite().all())]
    if broken or (free and not reached):
        raise UserError(
            f"after {entry.full_name} the network can no longer learn", where=f"'{made.card.name}'",
            got=f"no gradient at {', '.join(broken[:3])}" if broken else "no gradient anywhere",
        )  # fmt: skip


def stored_bytes(model: Source) -> int:
    """What the model's tensors take on disk."""
    return sum(each.numel() * each.element_size() for each in model.state_dict().values())
