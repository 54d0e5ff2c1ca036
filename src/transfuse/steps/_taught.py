"""What a student hears of its rows beside their labels; without it teachers' answers would be joined by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.errors import UserError
from transfuse.fusion import outputs_lift
from transfuse.store import Artifact

if TYPE_CHECKING:
    import torch

    from transfuse.steps import Context
    from transfuse.train.batches import Stream
    from transfuse.train.feed import Feed

LEAST = 1e-12


def beside(inputs: Mapping[str, Artifact], classes: int, device: torch.device) -> dict[str, Feed]:
    """Feeds joined to the training rows: `teacher`, log-probabilities [N, C] of each teacher after its temperature;
    `known`, which classes each knows, [K, C] for all rows; `teacher_features`, blocks [N, D_k] of each, maps averaged.
    Nothing where there is no teacher.

    Raises UserError for scores of other classes, and for a teacher that answers a row which judges the student.
    """
    from transfuse.train.feed import BlockFeed

    found: dict[str, Feed] = {}
    teachers = [inputs[f"teacher{number}"] for number in range(sum(_is_teacher(role) for role in inputs))]
    if teachers:
        rows = teachers[0]["rows"]
        given = [_joined(teacher, rows, inputs["rows"]["judge"], classes) for teacher in teachers]
        found |= {"teacher": BlockFeed(rows, given, device), "known": _Known(teachers, classes, device)}
    if features := {role: inputs[role] for role in inputs if role.startswith("features")}:
        found["teacher_features"] = BlockFeed(*_features(features), device)
    return found


def pool(
    params: Mapping[str, Any], inputs: Mapping[str, Artifact], classes: int, context: Context
) -> dict[str, Stream]:
    """The stream `pool` of rows without labels, with what the teachers say of each; nothing where there is none."""
    if "stream" not in params:
        return {}
    from transfuse.steps._canvases import canvases
    from transfuse.steps._fitted import blocks_of
    from transfuse.train.batches import POOL, Stream
    from transfuse.train.feed import BlockFeed, CanvasFeed

    device = context.torch_device()
    own = {role.removeprefix("pool|"): inputs[role] for role in inputs if role.startswith("pool|")}
    rows = own["rows"]["judge"]
    teachers = [own[f"teacher{number}"] for number in range(sum(_is_teacher(role) for role in own))]
    given = [
        log_probabilities(outputs_lift.joined(rows, each["rows"], each["scores"], "a teacher"), each.meta)
        for each in teachers
    ]
    if any(each.shape[1:] != (classes,) for each in given):
        raise UserError("a teacher answers other classes than its student", expected=f"{classes} columns")
    said: dict[str, Feed] = {}
    if teachers:
        said |= {"teacher": BlockFeed(rows, given, device), "known": _Known(teachers, classes, device)}
    if any(role.startswith("x") for role in own):
        feed: Feed = BlockFeed(*blocks_of(own), device)
    else:
        read = canvases({**params, "extra": params["stream"]}, own["items"], context)
        feed = CanvasFeed(read, device)
    return {POOL: Stream(feed, rows, None, said)}


class _Known:
    """Which classes each teacher knows, the same for all rows."""

    def __init__(self, teachers: Sequence[Artifact], classes: int, device: torch.device) -> None:
        import torch

        known = [teacher.meta.get("known") or [True] * classes for teacher in teachers]
        self.known = torch.tensor(known, dtype=torch.bool, device=device)

    def batch(self, rows: np.ndarray) -> list[torch.Tensor]:
        return [self.known]


def _is_teacher(role: str) -> bool:
    return role.startswith("teacher")


def _joined(teacher: Artifact, rows: np.ndarray, judged: np.ndarray, classes: int) -> np.ndarray:
    if leaked := len(np.intersect1d(teacher["rows"], judged)):
        raise UserError(
            "a teacher belongs to another run than its student", expected="a teacher of the same fold or seed",
            got=f"{leaked} of the rows it was fitted to judge the student",
        )  # fmt: skip
    if teacher["scores"].shape[1:] != (classes,):
        got = f"scores of shape {teacher['scores'].shape}"
        raise UserError("a teacher answers other classes than its student", expected=f"{classes} columns", got=got)
    return log_probabilities(outputs_lift.joined(rows, teacher["rows"], teacher["scores"], "a teacher"), teacher.meta)


def log_probabilities(scores: np.ndarray, meta: Mapping[str, object]) -> np.ndarray:
    """log p [N, C] float32 of a teacher's scores: logits over its temperature; probabilities no smaller than 1e-12."""
    heat = float(meta["temperature"])  # pyright: ignore[reportArgumentType]
    values = np.asarray(scores, dtype=np.float64)
    logits = (values if meta["scale"] == "logit" else np.log(np.maximum(values, LEAST))) / heat
    logits -= logits.max(axis=1, keepdims=True)
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


def _features(found: Mapping[str, Artifact]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Rows [M] and one [M, D_k] a teacher: its blocks side by side."""
    parts: dict[tuple[int, int], list[Artifact]] = {}
    for role in sorted(found):
        teacher, _, read = role.removeprefix("features").split("|", 1)[0].partition("_")
        parts.setdefault((int(teacher), int(read)), []).append(found[role])
    rows = np.concatenate([part["rows"] for part in next(iter(parts.values()))])
    columns: dict[int, list[np.ndarray]] = {}
    for (teacher, _), blocks in sorted(parts.items()):
        columns.setdefault(teacher, []).append(np.concatenate([_flat(block["block"]) for block in blocks]))
    return rows, [np.concatenate(each, axis=1) for _, each in sorted(columns.items())]


def _flat(block: np.ndarray) -> np.ndarray:
    """Vectors as they are; maps [N, C, H, W] averaged over space, tokens [N, T, D] over tokens."""
    if block.ndim == 4:
        return block.mean(axis=(2, 3))
    return block.mean(axis=1) if block.ndim == 3 else block
