"""Train on what a compression left; without it a pruned network would be judged before it has recovered."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.kinds import kind_of
from transfuse.schedules import Schedule
from transfuse.steps import compress
from transfuse.steps._context import Context, Result, table
from transfuse.steps._fitted import failed, failure, fits_of, fitted, made_of, rows_of
from transfuse.steps._trials import Trials, chooser
from transfuse.store import Artifact

REVISION = 1
NEEDS = ("torch",)


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """Choose rate and epoch on held rows, from the compressed network on; keep the best."""
    from transfuse.source.shrunk import is_shrunk
    from transfuse.steps import _model, _networks
    from transfuse.steps._canvases import canvases
    from transfuse.steps._compressed import counted, described
    from transfuse.train.feed import CanvasFeed
    from transfuse.train.learner import OnCanvas
    from transfuse.train.loop import DivergedError, Lesson, score
    from transfuse.train.tune import Rows, Training, tune

    if reason := failure(inputs):
        return failed(reason)
    items, rows, plan = table(inputs["items"]), rows_of(inputs), Schedule.of(params["schedule"])
    device = context.torch_device()
    start = _model.opened(context.keys["member0"], context, "retrained").to(device)
    for until in plan.until.split(",") if plan.until else []:
        start.freeze(until.strip())
    shrunk = is_shrunk(start)
    lesson = Lesson(
        forward=OnCanvas,
        feed=CanvasFeed(canvases(params, inputs["items"], context), params["canvas"], device, keep=True),
        targets=items.targets(),
        schedule=plan,
        seed=params["seed"],
        autocast=_networks.autocast(params["precision"], device),
        report=lambda epoch, loss, held: context.emit("progress", done=epoch, of=plan.epochs, train=loss, held=held),
        kind=items.kind,
        classes=len(params["classes"]),
    )
    began = time.process_time()
    try:
        searching = {"choose": chooser(params["seed"]), "memory": Trials.of(context)} if plan.trials else {}
        training = Training(lambda _: copy.deepcopy(start), lesson, **searching)
        tuned = tune(training, Rows(fits_of(rows), rows["train"], params["final_fit"]))
    except DivergedError as error:
        return failed(str(error))
    model: Any = tuned.model
    model.shrunk = shrunk
    scores = {
        "held": (tuned.held, tuned.held_scores),
        "calibrate": (rows["calibrate"], score(lesson, model, rows["calibrate"])),
    }
    facts = {"kind": "retrain", "rate": tuned.rate, "epoch": tuned.epoch, "trials": tuned.trials, "items": tuned.items}
    facts |= {
        "curve": tuned.curve,
        "health": None,
        "rows": round(float(np.mean([len(fit) for fit, _ in fits_of(rows)]))),
    }
    facts |= {"seconds_per_item": (time.process_time() - began) / max(tuned.items, 1)}
    facts |= {"made_of": made_of(params, context), "counted": counted(model, model, params["canvas"])} | described(
        model
    )
    return fitted(scores, kind_of(items.kind).scale, items.targets(), facts, _model.state_of(model), items.kind)


def predict(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> np.ndarray:
    """Logits [N, C] (numbers of a regression) of the judged rows."""
    return compress.predict(params, inputs, context)
