"""Predictions of the judged rows by a fitted arm; running this step opens them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.registry import find
from transfuse.steps import Context, Result, failed, failure
from transfuse.store import Artifact

REVISION = 3
NEEDS = ("torch",)


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`rows [N]` and `scores [N, C]` as the arm gives them, with its scale and its own temperature beside; further
    arrays where the kind of arm tells more of its answers."""
    if reason := failure(inputs):
        return failed(reason)
    given = find("steps", params["kind"]).load().predict(params, inputs, context)
    scores, more = given if isinstance(given, tuple) else (given, {})
    if not np.isfinite(scores).all():
        return failed("its scores on the judged rows hold NaN or infinity")
    fit = inputs["fit"].meta
    meta = {name: fit[name] for name in ("scale", "temperature", "task", "known") if name in fit}
    return meta, {"rows": inputs["rows"]["judge"], "scores": scores, **more}
