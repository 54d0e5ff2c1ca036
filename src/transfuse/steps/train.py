"""Train one network in one run: the crown on cached blocks while the members are frozen, else the whole on canvases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.kinds import kind_of
from transfuse.registry import method
from transfuse.schedules import Schedule
from transfuse.steps import Context, Result, _taught, failed, failure, table
from transfuse.steps._fitted import blocks_of, fitted, made_of, matched, rows_of, told_of_merge
from transfuse.steps._tuned import lesson_of, trained
from transfuse.store import Artifact

if TYPE_CHECKING:
    from torch import nn

    from transfuse.fusion.fused import Fused
    from transfuse.train.feed import Feed
    from transfuse.train.health import Watch
    from transfuse.train.learner import Learner

REVISION = 9
NEEDS = ("torch",)
MOST_TRAINED = 1024
# Rows that BatchNorms are estimated on, and how many at once.
MOST_REFRESHED, REFRESHED_BATCH = 256, 32


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """Choose rate and epoch on held rows, keep the final network, score what choices and temperature need."""
    from transfuse.steps import _idle, _networks
    from transfuse.train.loop import DivergedError, score
    from transfuse.train.ranks import here

    if reason := failure(inputs):
        return failed(reason)
    params = matched(params, inputs)
    items, rows = table(inputs["items"]), rows_of(inputs)
    targets = items.targets()
    plan = Schedule.of(params["schedule"])
    device = context.torch_device()
    feed = _feed(params, inputs, context, plan)
    lesson = lesson_of(
        params,
        items,
        feed,
        forward_of(plan),
        context,
        beside=_taught.beside(inputs, len(params["classes"]), device),
        streams=_taught.pool(params, inputs, len(params["classes"]), context),
        watch=_watch(params, plan, feed, targets, context),
        past=_networks.past(params, inputs, context),
        scratch=context.store.scratch,
        ranks=here(params.get("shard_weights", False)),
    )
    try:
        tuned, told = trained(_builder(params, inputs, context, plan, feed), lesson, rows, params, context)
    except DivergedError as error:
        return failed(str(error))
    if params["final_fit"]:
        order = {int(row): index for index, row in enumerate(tuned.held)}
        calibrate = tuned.held_scores[[order[int(row)] for row in rows["calibrate"]]]
    else:
        calibrate = score(lesson, tuned.model, rows["calibrate"])
    scores = {"held": (tuned.held, tuned.held_scores), "calibrate": (rows["calibrate"], calibrate)}
    facts = {"kind": "train", **told, "made_of": made_of(params, context), **told_of_merge(inputs)}
    if plan.regime == "frozen":
        # What a member that learns gives is not what its joint was settled on.
        facts["idle"] = _idle.told(tuned.model, params["reads"], _networks.cards(inputs))
    if "stream" in params:
        facts["stream_rows"] = len(inputs["pool|rows"]["judge"])
    if "match" in inputs:
        facts["match"] = inputs["match"].meta["told"]
    some = np.sort(rows["train"])[:: max(1, -(-len(rows["train"]) // MOST_TRAINED))]
    arrays = _networks.state_arrays(tuned.model)
    meta, arrays = fitted(scores, kind_of(items.kind).scale, targets, facts, arrays, items.kind)
    meta["trained"] = _reached(score(lesson, tuned.model, some), targets[some], meta["temperature"])
    return meta, arrays


def predict(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> np.ndarray:
    """Logits [N, C] (numbers of a regression) of the judged rows by the fitted network."""
    from transfuse.steps import _networks
    from transfuse.train.loop import Lesson, score

    params = matched(params, inputs)
    plan = Schedule.of(params["schedule"])
    model = _networks.new_crown(params, inputs, params["seed"], context)
    if plan.regime != "frozen":
        model = _networks.whole(params, inputs, context, model)
    _networks.load_arrays(model, inputs["fit"])
    device = context.torch_device()
    model.to(device)
    feed = _feed(params, inputs, context, plan, keep=False)
    cast = _networks.autocast(params["precision"], device)
    lesson = Lesson(forward_of(plan), feed, np.zeros(0, dtype=np.int64), plan, params["seed"], cast)
    return score(lesson, model, inputs["rows"]["judge"])


def forward_of(plan: Schedule) -> Callable[[nn.Module], Learner]:
    """How a model is fed: the crown takes blocks, the whole takes a canvas."""
    from transfuse.train.learner import OnBlocks, OnCanvas

    return OnBlocks if plan.regime == "frozen" else OnCanvas


def _reached(scores: np.ndarray, targets: np.ndarray, heat: float) -> dict[str, float]:
    """Log-loss and accuracy on the rows it learned from, after its temperature."""
    from transfuse.train.held import log_loss

    if targets.ndim != 1 or not np.issubdtype(targets.dtype, np.integer):
        return {}
    right = float((scores.argmax(axis=1) == targets).mean())
    return {"log_loss": log_loss(scores / heat, targets), "accuracy": right}


def _watch(
    params: Mapping[str, Any], plan: Schedule, feed: Feed, targets: np.ndarray, context: Context
) -> Watch | None:
    """Who looks at the branches in training; nobody where there is one, or where silence has no meaning."""
    from transfuse.train.batches import Stream
    from transfuse.train.health import Watch

    if params.get("task", "multiclass") != "multiclass":
        return None
    reads = [read for read in params["reads"] if (*read, "block")[3] == "block"]
    if len({(read[0], read[2]) for read in reads}) < 2 or method(params["method"]).traits.get("joints") == "plain":
        return None
    labelled = Stream(feed, np.zeros(0, dtype=np.int64), targets)
    return Watch(forward_of(plan), labelled.batch, lambda epoch, found: context.emit("health", epoch=epoch, **found))


def _feed(
    params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context, plan: Schedule, *, keep: bool = True
) -> Feed:
    from transfuse.steps import _networks
    from transfuse.train.feed import BlockFeed, MixedFeed

    device = context.torch_device()
    if plan.regime == "frozen":
        place = _networks.canvas_place(params)
        cached = any(role.startswith("x") for role in inputs)
        blocks = BlockFeed(*blocks_of(inputs), device) if cached else None
        if place is None and blocks is not None:
            return blocks
        return MixedFeed(blocks, _canvases(params, inputs, context, keep=keep), place or 0)
    return _canvases(params, inputs, context, keep=keep)


def _canvases(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context, *, keep: bool) -> Feed:
    from transfuse.steps._canvases import canvases
    from transfuse.train.feed import CanvasFeed

    return CanvasFeed(canvases(params, inputs["items"], context), context.torch_device(), keep=keep)


def _refresh(model: Fused, members: Sequence[int], feed: Feed, rows: np.ndarray) -> None:
    """Estimate the BatchNorms of these members anew on the rows: joints would be settled on what training undoes."""
    from transfuse.fusion.repair import re_estimate
    from transfuse.train.batches import in_batches, spread_evenly

    for index in members:
        parts = in_batches(spread_evenly(rows, MOST_REFRESHED), REFRESHED_BATCH)
        re_estimate(model.member(model.names[index]), [feed.batch(part)[0] for part in parts])


def _builder(
    params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context, plan: Schedule, feed: Feed
) -> Callable[[np.ndarray], nn.Module]:
    """A fresh network, its joints (and a regression's head) settled on the rows it will train on."""
    import torch

    from transfuse.fusion.heads import Values
    from transfuse.steps import _networks
    from transfuse.train.loop import settle

    device, targets = context.torch_device(), table(inputs["items"]).targets()

    def build(rows: np.ndarray) -> nn.Module:
        top = _networks.new_crown(params, inputs, params["seed"], context)
        if isinstance(top.head, Values):
            top.head.settle(torch.from_numpy(targets[rows]))
        if plan.regime == "frozen":
            settle(top.to(device), lambda batch: batch, feed, rows, targets)
            return top
        model = _networks.whole(params, inputs, context, top).to(device)
        _refresh(model, params.get("refreshed", ()), feed, rows)
        settle(model.crown, lambda batch: model.eval().member_blocks(batch[0], targets=True), feed, rows, targets)
        for until in plan.until.split(",") if plan.until else []:
            model.freeze(until.strip())
        return model

    return build
