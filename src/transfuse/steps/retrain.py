"""Train on what a compression left; without it a pruned network would be judged before it has recovered."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.kinds import kind_of
from transfuse.schedules import Schedule
from transfuse.steps import Context, Result, compress, failed, failure, table
from transfuse.steps._fitted import fitted, made_of, rows_of
from transfuse.steps._tuned import lesson_of, trained
from transfuse.store import Artifact

REVISION = 2
NEEDS = ("torch",)


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """Choose rate and epoch on held rows, from the compressed network on; keep the best."""
    from transfuse.source.shrunk import is_shrunk
    from transfuse.steps import _model
    from transfuse.steps._canvases import canvases
    from transfuse.steps._compressed import counted, described
    from transfuse.train.feed import CanvasFeed
    from transfuse.train.learner import OnCanvas
    from transfuse.train.loop import DivergedError, score

    if reason := failure(inputs):
        return failed(reason)
    items, rows, plan = table(inputs["items"]), rows_of(inputs), Schedule.of(params["schedule"])
    device = context.torch_device()
    start = _model.opened(context.keys["member0"], context, "retrained").to(device)
    for until in plan.until.split(",") if plan.until else []:
        start.freeze(until.strip())
    shrunk = is_shrunk(start)
    feed = CanvasFeed(canvases(params, inputs["items"], context), device, keep=True)
    lesson = lesson_of(params, items, feed, OnCanvas, context)
    try:
        tuned, told = trained(lambda _: copy.deepcopy(start), lesson, rows, params, context)
    except DivergedError as error:
        return failed(str(error))
    model: Any = tuned.model
    model.shrunk = shrunk
    scores = {
        "held": (tuned.held, tuned.held_scores),
        "calibrate": (rows["calibrate"], score(lesson, model, rows["calibrate"])),
    }
    facts = {"kind": "retrain", **told, "made_of": made_of(params, context)}
    facts |= {"counted": counted(model, model, params["canvas"]), **described(model)}
    return fitted(scores, kind_of(items.kind).scale, items.targets(), facts, _model.state_of(model), items.kind)


def predict(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> np.ndarray:
    """Logits [N, C] (numbers of a regression) of the judged rows."""
    return compress.predict(params, inputs, context)
