"""A fitted arm's scores of its own run's training rows, for students; no judged row is among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from transfuse.registry import find
from transfuse.steps import Context, Result, failed, failure
from transfuse.steps._fitted import fits_of, rows_of
from transfuse.store import Artifact

REVISION = 1
NEEDS = ("torch",)


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`rows [N]` ascending and `scores [N, C]` as the arm gives them, with its scale and its own temperature beside."""
    if reason := failure(inputs):
        return failed(reason)
    rows = rows_of(inputs)
    wanted = np.unique(np.concatenate([rows["train"], *(fit for fit, _ in fits_of(rows))]))
    asked = replace(inputs["rows"], arrays={**rows, "judge": wanted})
    given = find("steps", params["kind"]).load().predict(params, {**inputs, "rows": asked}, context)
    scores = given[0] if isinstance(given, tuple) else given
    if not np.isfinite(scores).all():
        return failed("its scores on the training rows hold NaN or infinity")
    fit = inputs["fit"].meta
    return {name: fit[name] for name in ("scale", "temperature", "task", "known") if name in fit}, {
        "rows": wanted,
        "scores": scores,
    }
