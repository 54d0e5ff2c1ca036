"""Two sources stitched: the front of one into the tail of the other, to see what is lost; a diagnosis, not an arm.

The new layer is matched on training rows without labels, as `structure/stitch` does it; plain heads read the features
of both alone and of the stitched network on the selection rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.evaluation.stitching import PlainHead
from transfuse.steps import Context, Result, failed, failure, table
from transfuse.steps._fitted import blocks_of, fits_of, lines_of, rows_of
from transfuse.store import Artifact

REVISION = 1
NEEDS = ("torch",)


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """Right answers `first`, `second`, `stitched` [n] on `rows`; `unmatched` is what is left of the variance of the
    tail's features after each fit. Inputs are those of an arm by `structure/stitch`, and `own|BLOCK`, the features of
    the front's source."""
    import torch

    from transfuse.fusion.joints import pooled
    from transfuse.steps import _networks
    from transfuse.train.feed import BlockFeed
    from transfuse.train.loop import settle

    if reason := failure(inputs):
        return failed(reason)
    device, targets = context.torch_device(), table(inputs["items"]).targets()
    feed = BlockFeed(*blocks_of(inputs), device)
    fit, held = fits_of(rows_of(inputs))[0]
    crown = _networks.new_crown(params, inputs, params["seed"], context).to(device).eval()
    settle(crown, lambda batch: batch, feed, fit, targets)

    def features(rows: np.ndarray) -> np.ndarray:
        return pooled(feed.batch(rows)[-1]).double().cpu().numpy()

    with torch.no_grad():
        parts = [crown.fuse(feed.batch(part)).double().cpu().numpy() for part in _slices(held)]
    own, classes = _own(inputs), len(params["classes"])
    tail = PlainHead.fitted(features(fit), targets[fit], classes)
    front = PlainHead.fitted(own(fit), targets[fit], classes)
    arrays = {
        "rows": held,
        "first": front.right(own(held), targets[held]),
        "second": tail.right(features(held), targets[held]),
        "stitched": tail.right(np.concatenate(parts), targets[held]),
    }
    left: Any = crown.body.unmatched
    return {"unmatched": dict(left), "fitted_on": len(fit)}, arrays


def _own(inputs: Mapping[str, Artifact]) -> Any:
    """The front's own features by rows of the data."""
    rows, (pieces,) = blocks_of({f"x0|{role}": found for role, found in inputs.items() if role.startswith("own|")})
    return lambda wanted: lines_of(rows, pieces, wanted)


def _slices(rows: np.ndarray, size: int = 64) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
