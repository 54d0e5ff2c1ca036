"""How a step trains a network and what it tells of that; training and training on would else each have their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.data.items import Items
from transfuse.schedules import Schedule
from transfuse.steps import Context
from transfuse.steps._fitted import fits_of
from transfuse.steps._trials import Trials, chooser

if TYPE_CHECKING:
    from torch import nn

    from transfuse.train.feed import Feed
    from transfuse.train.learner import Learner
    from transfuse.train.loop import Lesson
    from transfuse.train.tune import Tuned


def lesson_of(
    params: Mapping[str, Any],
    items: Items,
    feed: Feed,
    forward: Callable[[nn.Module], Learner],
    context: Context,
    **more: Any,
) -> Lesson:
    """What is learned, from what, and who is told; `more` are further fields of the lesson."""
    from transfuse.steps import _networks
    from transfuse.train.loop import Lesson

    plan = Schedule.of(params["schedule"])
    return Lesson(
        forward=forward,
        feed=feed,
        targets=items.targets(),
        schedule=plan,
        seed=params["seed"],
        autocast=_networks.autocast(params["precision"], context.torch_device()),
        report=lambda epoch, loss, held: context.emit("progress", done=epoch, of=plan.epochs, train=loss, held=held),
        kind=items.kind,
        classes=len(params["classes"]),
        **more,
    )


def trained(
    build: Callable[[np.ndarray], nn.Module],
    lesson: Lesson,
    rows: Mapping[str, np.ndarray],
    params: Mapping[str, Any],
    context: Context,
) -> tuple[Tuned, dict[str, Any]]:
    """The network with the best rate and epoch on held rows, and the facts of its training.

    `rows` in the facts says how many one training goes through: under cross-fitting the mean of the inner folds'.
    Seconds per item are those of this process: trials that an interrupted study had made before count on neither side.
    Raises DivergedError where no rate holds.
    """
    from transfuse.train.tune import Rows, Training, tune

    folds = fits_of(rows)
    searching = {"choose": chooser(params["seed"]), "memory": Trials.of(context)} if lesson.schedule.trials else {}
    began = time.process_time()
    found = tune(Training(build, lesson, **searching), Rows(folds, rows["train"], params["final_fit"]))
    seconds = time.process_time() - began
    facts = {
        "rate": found.rate,
        "epoch": found.epoch,
        "trials": found.trials,
        **({"values": found.values} if found.values else {}),
        "items": found.items,
        "curve": found.curve,
        "health": None if found.health is None else found.health.record(),
        "rows": round(sum(len(fit) for fit, _ in folds) / len(folds)),
        "seconds_per_item": seconds / max(found.items - found.remembered, 1),
    }
    return found, facts
