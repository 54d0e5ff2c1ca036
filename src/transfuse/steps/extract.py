"""Features: one tap of one frozen source on one view of a block of rows, computed once and kept.

Rows go through in their order in batches of a fixed size, so that low bits never depend on workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transfuse.steps import Context, Result, failed, failure
from transfuse.steps._halved import halved
from transfuse.store import Artifact

if TYPE_CHECKING:
    import numpy as np

REVISION = 2
NEEDS = ("torch",)
BATCH = 32
LOOKED_AT = 4096


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`rows [N]` and `block [N, ...]` float32."""
    import numpy as np
    import torch

    from transfuse.fusion.fused import turned
    from transfuse.fusion.joints import pooled
    from transfuse.steps import _networks
    from transfuse.steps._canvases import canvases

    if reason := failure(inputs):
        return failed(reason)[0], {"rows": inputs["rows"]["rows"]}
    rows = inputs["rows"]["rows"]
    batch = canvases(params, inputs["items"], context)
    device = context.torch_device()
    found = _networks.cards(inputs)
    if params["merge"]:
        source = _networks.merged(found[0], inputs, context).to(device)
        source.freeze(None)
    else:
        source = _networks.frozen(found[0], context, fresh=params["random"])

    def ask(these: np.ndarray) -> np.ndarray:
        canvas = torch.from_numpy(batch(these)).to(device)
        block = source.blocks(turned(canvas, params["view"]), [params["tap"]])[params["tap"]]
        return (pooled(block) if params["pool"] else block).float().cpu().numpy()

    with torch.no_grad(), _networks.autocast(params["precision"], device)():
        block, note = halved(rows, BATCH, ask, context)
    if not all(np.isfinite(block[start : start + LOOKED_AT]).all() for start in range(0, len(block), LOOKED_AT)):
        return {"failed": f"source '{found[0].name}' gives NaN or infinity at tap '{params['tap']}'"}, {"rows": rows}
    # Whoever looks at these without a joint has to know which of them may be missing.
    numbers = found[0].tap(params["tap"]).numbers
    return {"items": len(rows), **note, **({"numbers": numbers} if numbers else {})}, {"rows": rows, "block": block}
