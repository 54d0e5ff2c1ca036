"""An arm against inputs made to mislead it; running this step opens the judged rows.

The canvases are made batch by batch and never kept: what an arm answers to its own attack is all that is paired later.
Where no gradient comes through an arm (a pool of predictions), the attack is made against the mean of its members'
probabilities, and the arm is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.errors import UserError
from transfuse.registry import find
from transfuse.steps._context import Context, Result, table
from transfuse.steps._fitted import failed, failure
from transfuse.steps._halved import halved
from transfuse.store import Artifact

if TYPE_CHECKING:
    from torch import Tensor

    from transfuse.source.base import Source

REVISION = 1
NEEDS = ("torch",)
BATCH = 32
LEAST = 1e-12


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`rows [n]` and logits [n, C] under attack, the arm's own temperature, and what the attack was made against."""
    from transfuse.steps import _model
    from transfuse.steps._canvases import canvases

    if reason := failure(inputs):
        return failed(reason)
    device = context.torch_device()
    arm = _model.opened(context.keys["fit"], context, "attacked").to(device)
    apart = _model.opened(context.keys["surrogate"], context, "source").to(device) if "surrogate" in inputs else None
    entry = find("conditions", params["condition"]["name"])
    try:
        made_against, what = forward_of(apart or arm, gradient=entry.traits["gradient"])
    except UserError as error:
        return failed(error.what)
    items, rows = table(inputs["items"]), inputs["rows"]["judge"]
    read = canvases({**params, "condition": None}, inputs["items"], context)
    targets = items.targets()

    def ask(these: np.ndarray) -> np.ndarray:
        ids = [items.ids[int(row)] for row in these]
        return _scores(arm, made_against, read(these), targets[these], ids, params["condition"])

    found, note = halved(rows, BATCH, ask, context)
    scores = np.concatenate(found) if found else np.zeros((0, arm.card.class_count), dtype=np.float32)
    if not np.isfinite(scores).all():
        return failed("its scores under attack hold NaN or infinity")
    meta = {"scale": "logit", "temperature": inputs["fit"].meta["temperature"], "attack": True, "against": what, **note}
    return meta, {"rows": rows, "scores": scores}


def forward_of(model: Source, *, gradient: bool) -> tuple[Callable[[Tensor], Tensor], str]:
    """What an attack is made against, and in words: the model, or for a pool the mean of its members' probabilities.

    Raises: `UserError` where a gradient is asked for and none comes through.
    """
    from transfuse.fusion.pooled import Pool

    if not gradient or model.card.differentiable:
        return lambda x: model.blocks(x, ("logits",))["logits"], "itself"
    if not isinstance(model, Pool):
        raise UserError(f"no gradient comes through '{model.card.name}', so it cannot be attacked by one")
    members = [forward_of(member, gradient=True)[0] for member in model.members]  # pyright: ignore[reportArgumentType]

    def mean(x: Tensor) -> Tensor:
        import torch

        return torch.stack([torch.softmax(member(x), dim=1) for member in members]).mean(0).clamp_min(LEAST).log()

    return mean, "the mean of its members' probabilities, since no gradient comes through its pooling"


def _scores(
    arm: Source,
    made_against: Callable[[Tensor], Tensor],
    clean: np.ndarray,
    targets: np.ndarray,
    ids: list[str],
    condition: Mapping[str, Any],
) -> np.ndarray:
    import torch

    from transfuse.conditions._contract import under

    device = next(arm.parameters()).device

    def forward(x: Tensor) -> Tensor:
        return made_against(x.to(device)).to(x.device)

    changed = under(condition["name"], condition["level"], clean, targets=targets, ids=ids, forward=forward)
    with torch.no_grad():
        return arm(torch.from_numpy(changed).to(device)).float().cpu().numpy()
