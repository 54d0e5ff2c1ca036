"""An arm against inputs made to mislead it; running this step opens the judged rows.

The canvases are made batch by batch and never kept: what an arm answers to its own attack is all that is paired later.
Where no gradient comes through an arm, `_attacked.py` says what is climbed in its place; the arm itself is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.errors import UserError
from transfuse.registry import find
from transfuse.steps import Context, Result, failed, failure, table
from transfuse.steps._halved import halved
from transfuse.store import Artifact

if TYPE_CHECKING:
    from torch import Tensor

    from transfuse.source.base import Source

REVISION = 2
NEEDS = ("torch",)
BATCH, SOME = 32, 4


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`rows [n]` and logits [n, C] under attack, the arm's own temperature, and what the attack was made against."""
    import torch

    from transfuse.steps import _model
    from transfuse.steps._attacked import attacked
    from transfuse.steps._canvases import canvases

    if reason := failure(inputs):
        return failed(reason)
    device = context.torch_device()
    arm = _model.opened(context.keys["fit"], context, "attacked").to(device)
    role = "surrogate" if "surrogate" in inputs else "fit"
    against = arm if role == "fit" else _model.opened(context.keys[role], context, "source").to(device)
    entry = find("conditions", params["condition"]["name"])
    items, rows = table(inputs["items"]), inputs["rows"]["judge"]
    read = canvases({**params, "condition": None}, inputs["items"], context)
    targets = items.targets()
    some = torch.from_numpy(read(rows[:SOME]))
    try:
        made_against, what = attacked(context.keys[role], against, context, some, gradient=entry.traits["gradient"])
    except UserError as error:
        return failed(error.what)

    def ask(these: np.ndarray) -> np.ndarray:
        ids = [items.ids[int(row)] for row in these]
        return _scores(arm, made_against, read(these), targets[these], ids, params["condition"])

    none = np.zeros((0, arm.card.class_count), dtype=np.float32)
    scores, note = halved(rows, BATCH, ask, context) if len(rows) else (none, {})
    if not np.isfinite(scores).all():
        return failed("its scores under attack hold NaN or infinity")
    meta = {"scale": "logit", "temperature": inputs["fit"].meta["temperature"], "attack": True, "against": what, **note}
    return meta, {"rows": rows, "scores": scores}


def _scores(
    arm: Source,
    made_against: Callable[[Tensor], Tensor],
    clean: np.ndarray,
    targets: np.ndarray,
    ids: list[str],
    condition: Mapping[str, Any],
) -> np.ndarray:
    """What the arm answers to canvases made against it; what it takes by chance, the attack has not seen."""
    import torch

    from transfuse.conditions import under
    from transfuse.conditions._ways import seeded
    from transfuse.steps._attacked import forward_of

    changed = under(condition["name"], condition["level"], clean, targets=targets, ids=ids, forward=made_against)
    with torch.no_grad():
        return seeded(forward_of(arm), torch.from_numpy(changed), "answered", ids[0]).float().numpy()
