"""The nouns that rooms hand to each other: plain frozen records without torch, consistent or not made at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from transfuse.errors import UserError, unknown_name
from transfuse.jsonio import plain, tuples

TaskKind = Literal["multiclass", "multilabel", "regression"]
TapKind = Literal["vector", "map", "tokens", "logits"]
Role = Literal["candidate", "baseline", "control", "diagnostic"]
Scale = Literal["logit", "probability", "value"]
Direction = Literal["higher", "lower"]
Status = Literal["better", "equivalent", "worse", "not shown"]
Form = Literal["single", "soup", "ensemble", "cascade", "fused", "student"]
CLEAN = "clean"


@dataclass(frozen=True)
class Undefined:
    """A number that does not exist, with the reason; it stays so through JSON and the report."""

    reason: str


Value = float | Undefined


def checked(number: float, reason: str) -> Value:
    """The number if it is finite, else `Undefined(reason)`."""
    return float(number) if math.isfinite(number) else Undefined(reason)


@dataclass(frozen=True)
class Task:
    """What is to be learned: `classes` are in the order of the score columns."""

    kind: TaskKind
    classes: tuple[str, ...]
    metric: str = "log_loss"
    also: tuple[str, ...] = ("accuracy", "brier", "ece", "worst_class")


@dataclass(frozen=True)
class Prepare:
    """How a source wants the canvas, applied inside its door. Of a source of texts `size` is the most tokens it reads.
    `mean`, `std` are per channel, in units of `scale` (1.0: images in [0, 1]; 255.0: [0, 255]). `size` is the side the
    source was trained at, in pixels; `channels` is 3 or 1 (luma). A source of columns reads these `columns`.
    """

    size: int
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    scale: float = 1.0
    order: Literal["rgb", "bgr"] = "rgb"
    channels: int = 3
    columns: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Tap:
    """A place where a block can be read.

    `place` is the module's path, `side` whether its input or output is read, `layout` how the raw tensor lies, `pooled`
    whether a map is averaged to a vector, `volatile` whether a later layer changes the tensor in place (the door then
    copies it), `cut` whether nothing else crosses there, `width` D or C, `size` the spatial size or token count at the
    card's canvas. The first `numbers` entries of a vector may be missing; as many flags follow.
    """

    name: str
    kind: TapKind
    width: int
    place: str
    side: Literal["input", "output"] = "output"
    layout: Literal["plain", "nchw", "nhwc"] = "plain"
    pooled: bool = False
    volatile: bool = False
    size: tuple[int, ...] = ()
    cut: bool = False
    numbers: int = 0


@dataclass(frozen=True)
class Card:
    """What can be known of a source without its weights in memory; the plan reads nothing else."""

    name: str
    spec: str
    origin: str
    sha256: str
    prepare: Prepare
    taps: dict[str, Tap]
    class_count: int
    classes: tuple[str, ...] = ()
    parameters: int = 0
    licence: str = "unknown"
    field: str = "image"
    flexible: bool = True
    random: bool = False
    trainable: bool = True
    differentiable: bool = True
    cuttable: bool = True
    has_weights: bool = True
    seen: str = "unknown"
    notes: tuple[str, ...] = ()
    compressed: Mapping[str, Any] | None = None
    beheaded: str = ""

    def record(self) -> dict[str, Any]:
        """The card as plain values; taps as a list, since their order is that of execution and JSON keys are sorted."""
        return (found := plain(self)) | {"taps": [found["taps"][name] for name in self.taps]}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Card:
        """The card that gave this record."""
        given = {name: tuples(item) for name, item in record.items()}
        prepare = Prepare(**{name: tuples(item) for name, item in record["prepare"].items()})
        taps = {tap["name"]: Tap(**{**tap, "size": tuple(tap["size"])}) for tap in record["taps"]}
        return cls(**{**given, "prepare": prepare, "taps": taps})

    def tap(self, name: str) -> Tap:
        """The tap of that name; an unknown one is an error that lists what there is."""
        if name not in self.taps:
            raise unknown_name("tap", name, self.taps, where=f"source '{self.name}' ({self.spec})")
        return self.taps[name]


@dataclass(frozen=True)
class ItemTable:
    """The judged rows, once per split: ids [N] in file order, targets [N] as class numbers, groups [N] or None."""

    ids: tuple[str, ...]
    targets: np.ndarray
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if len(set(self.ids)) != len(self.ids):
            raise UserError("item ids must be unique", got=f"{len(self.ids) - len(set(self.ids))} repeated ids")
        for name, column in (("targets", self.targets), ("groups", self.groups)):
            if column is not None and len(column) != len(self.ids):
                raise UserError(f"{name} and ids differ in number", got=f"{len(column)} and {len(self.ids)}")

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Predictions:
    """Scores [k, N, C] of one arm on one split under one condition, rows as in its `ItemTable`, for the k `runs`."""

    arm: str
    runs: tuple[str, ...]
    scores: np.ndarray
    scale: Scale
    split: str = "test"
    condition: str = CLEAN


@dataclass(frozen=True, eq=False)
class Features:
    """Frozen features of the sources on rows apart from the judged ones: blocks [N, D] by source, in the items' order.

    What is fitted to judge a row never saw its fold `folds [N]`. `answers`: own heads' probabilities [N, Cs], if asked.
    """

    blocks: Mapping[str, np.ndarray]
    items: ItemTable
    folds: np.ndarray
    answers: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, block in (*self.blocks.items(), *self.answers.items()):
            if block.ndim != 2 or len(block) != len(self.items):
                raise UserError("features do not match their items", where=name, got=f"{block.shape}")
        if len(self.folds) != len(self.items):
            raise UserError("folds and items differ in number", got=f"{len(self.folds)} and {len(self.items)}")


@dataclass(frozen=True)
class Observation:
    """A number seen on the way of one arm's run: material for evidence, not evidence itself.

    `rows` is how many training rows the training had, `items` how many it had gone through by then, `flops` what that
    took from a cold start (members' features once, where kept; `warm_flops` without), `final` marks what was kept.
    """

    arm: str
    run: str
    quantity: str
    value: float
    rows: int
    items: int = 0
    flops: float = 0.0
    warm_flops: float = 0.0
    final: bool = False


@dataclass(frozen=True)
class Cost:
    """Counted, reproducible cost: per item at inference (mean, and p95 if it stops early), in all for training."""

    parameters: int
    trainable_parameters: int
    inference_flops: float
    train_flops: float
    p95_flops: float | None = None
    stored_bytes: int | None = None


@dataclass(frozen=True)
class Arm:
    """One way to solve the task, as the evaluation sees it; `notes` say how its training differed from the others'."""

    name: str
    role: Role
    members: tuple[str, ...]
    method: str
    train: str
    form: Form
    cost: Cost | None = None
    seeds: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """One claim about a number; in paired rows `value` is arm minus versus, `direction` says which sign is better."""

    id: str
    arm: str
    quantity: str
    value: Value
    unit: str
    direction: Direction
    versus: str | None = None
    split: str = "test"
    condition: str = CLEAN
    low: float | None = None
    high: float | None = None
    level: float | None = None
    p: float | None = None
    adjusted: float | None = None
    family: str | None = None
    n: int = 0
    seeds: int = 1
    pairing: str = "none"
    method: str = ""
    reproducible: bool = True
    provenance: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The JSON form: `value`, or `undefined` with the reason."""
        fields = plain({key: item for key, item in vars(self).items() if key != "value"})
        value = {"undefined": self.value.reason} if isinstance(self.value, Undefined) else {"value": self.value}
        return fields | value


@dataclass(frozen=True)
class Claim:
    """One comparison in words a person can act on; `evidence` lists the ids it rests on."""

    arm: str
    versus: str
    quantity: str
    status: Status
    evidence: tuple[str, ...]
    sentence: str = ""


@dataclass(frozen=True)
class Flag:
    """Something that must temper the verdict."""

    flag: str
    why: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recommendation:
    """The one arm to ship, in which form, and why."""

    arm: str
    form: Form
    why: str


@dataclass(frozen=True)
class Verdict:
    """Three parts, never mixed."""

    recommendation: Recommendation
    claims: tuple[Claim, ...]
    flags: tuple[Flag, ...]
