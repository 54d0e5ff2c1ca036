"""The recipe: what a user writes, checked key by key before any work, with the nearest known name in every refusal."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationError,
    field_validator,
    model_validator,
)

from transfuse.errors import many_problems, nearest
from transfuse.plan.budget import Budget
from transfuse.plan.complaints import sentence, shown
from transfuse.plan.conditions import Conditions, named
from transfuse.plan.search_entry import Search
from transfuse.plan.task import Strict, TaskEntry, check_metric
from transfuse.plan.text import dumped, loaded, text_of
from transfuse.reads import RECIPIENT

ALTERNATIVE = "alternative"


class SourceEntry(Strict):
    """One source: where it comes from, what is read of it, how it wants its input, which rows it has seen.

    `classes` says which of the target's classes its own stand for: {own: target}, a file of these, or a list with one
    class (or null) a column. `compress` says how it is made smaller before it is fused: a method's name,
    or {method: NAME, ...} with its settings.
    """

    spec: Any
    taps: list[str] | None = None
    seen: str | list[str] = "unknown"
    prepare: dict[str, Any] | None = None
    classes: str | dict[str, str | None] | list[str | None] | None = None
    compress: str | dict[str, Any] | None = None

    @field_validator("spec")
    @classmethod
    def _spec(cls, spec: Any) -> Any:
        if spec is None or spec == "":
            raise ValueError("names no source; write e.g. torchvision:resnet18")
        return spec


class Judge(Strict):
    """What judging rests on beside the test: `target` is a value of the primary metric fixed beforehand, `guards` are
    the losses in other metrics that would do harm. `attacked` is how many judged items attacks are made on, `transfer`
    names the sources that attacks are also made against, `stitching` pairs whose front and tail are stitched."""

    test: Literal["winner", "all"] = "winner"
    conditions: Conditions = {}
    attacked: StrictInt = Field(default=200, ge=10)
    transfer: list[str] = []
    stitching: Literal["auto"] | list[tuple[str, str]] = "auto"
    target: StrictFloat | StrictInt | None = None
    guards: dict[str, StrictFloat | StrictInt] = {}

    @field_validator("target")
    @classmethod
    def _target(cls, target: float | None) -> float | None:
        if target is not None and not math.isfinite(target):
            raise ValueError("the target must be a finite number")
        return target

    @field_validator("guards")
    @classmethod
    def _guards(cls, guards: dict[str, float]) -> dict[str, float]:
        for name, margin in guards.items():
            check_metric(name)
            if not 0 <= margin < 1e6:
                raise ValueError(f"the guard on {name} must be 0 or more")
        return guards


class RunEntry(Strict):
    """Where and how steps run; `threads`, `precision`, `ranks` and `shard_weights` change low bits, so they belong to
    the plan.

    `workers` is how many steps run at once: `auto` a core each, four at most; left out, one on this machine, and on a
    cluster as many as it has CPUs for. `ranks` is how many processes, or graphics cards, train one network together
    where more than a head is trained; with `shard_weights` each of them holds only its part of the large layers.
    """

    device: str = "auto"
    workers: StrictInt | Literal["auto"] | None = None
    threads: StrictInt = Field(default=1, ge=1, le=1024)
    store: str = "default"
    precision: Literal["float32", "bf16"] = "float32"
    ranks: StrictInt = Field(default=1, ge=1, le=64)
    shard_weights: StrictBool = False

    @field_validator("workers")
    @classmethod
    def _workers(cls, workers: int | str | None) -> int | str | None:
        if isinstance(workers, int) and not 1 <= workers <= 1024:
            raise ValueError("workers must lie between 1 and 1024")
        return workers

    @model_validator(mode="after")
    def _shared(self) -> RunEntry:
        if self.shard_weights and self.ranks == 1:
            raise ValueError("shard_weights divides weights over ranks, of which there must be 2 or more")
        return self


class Recipe(Strict):
    """A whole recipe; three lines (sources, data) are complete, everything else has a default."""

    sources: dict[str, SourceEntry]
    alternative: SourceEntry | None = None
    recipient: SourceEntry | None = None
    data: Any
    task: TaskEntry = TaskEntry()
    ladder: Literal["quick", "standard", "full"] = "quick"
    candidates: Literal["auto"] | list[str] | dict[str, Any] = ["features/concat", "features/gate"]
    search: Search = Search()
    train: dict[str, dict[str, Any]] = {}
    protocol: Literal["auto", "locked", "crossfit"] = "auto"
    margin: Literal["auto"] | StrictFloat = "auto"
    budget: Budget = Budget()
    seeds: StrictInt = Field(default=5, ge=1, le=1000)
    repeats: StrictInt = Field(default=1, ge=1, le=100)
    sizes: Literal["auto"] | list[StrictFloat | StrictInt] = "auto"
    judge: Judge = Judge()
    run: RunEntry = RunEntry()
    title: str = ""

    @model_validator(mode="before")
    @classmethod
    def _sources(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            raise ValueError("a recipe is a mapping with at least `sources` and `data`")
        sources = given.get("sources")
        if isinstance(sources, list | tuple):
            sources = {short_name(spec, index): spec for index, spec in enumerate(sources)}
        if isinstance(sources, dict):
            wrapped = {
                str(name): entry if isinstance(entry, dict | SourceEntry) else {"spec": entry}
                for name, entry in sources.items()
            }
            if len(wrapped) != len(given["sources"]):
                raise ValueError("two sources would have the same name; give names: {a: SPEC, b: SPEC}")
            return given | {"sources": wrapped}
        return given

    @field_validator("sources")
    @classmethod
    def _named(cls, sources: dict[str, SourceEntry]) -> dict[str, SourceEntry]:
        if not sources:
            raise ValueError("at least one source is needed")
        for name in sources:
            if not re.fullmatch(r"[A-Za-z0-9][\w.+-]{0,63}", name):
                raise ValueError(f"source name {name!r} must be letters, digits, dots, dashes or underscores")
        return sources

    @field_validator("candidates", mode="before")
    @classmethod
    def _candidates(cls, given: Any) -> Any:
        if not isinstance(given, list | dict) and given != "auto":
            raise ValueError(f"write auto, a list of methods or a mapping {{NAME: METHOD}}, not {shown(given)}")
        for entry in given if isinstance(given, list) else ():
            if not isinstance(entry, str):
                raise ValueError(
                    f"a list holds names of methods, and {shown(entry)} is none;"
                    " with settings write candidates as a mapping {NAME: {fuse: METHOD, ...}}"
                )
        return given

    @field_validator("alternative", mode="before")
    @classmethod
    def _alternative(cls, given: Any) -> Any:
        return {"spec": given} if isinstance(given, str) else given

    @field_validator("recipient", mode="before")
    @classmethod
    def _recipient(cls, given: Any) -> Any:
        if isinstance(given, str):
            spec = given if given.startswith(("factory:", "module:")) else f"factory:{given}"
            # What has been trained already may have seen rows of this very data.
            return {"spec": spec} if "checkpoint=" in spec else {"spec": spec, "seen": "none"}
        return given

    @model_validator(mode="after")
    def _apart(self) -> Recipe:
        for name, entry in ((ALTERNATIVE, self.alternative), (RECIPIENT, self.recipient)):
            if entry is not None and name in self.sources:
                raise ValueError(f"a source may not be called '{name}' where the recipe has one")
        for name in self.judge.guards:
            check_metric(name, self.task.kind)
        for name in self.judge.transfer:
            if name not in self.sources:
                near = nearest(name, list(self.sources))
                guess = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(self.sources)}"
                raise ValueError(f"judge.transfer: unknown source '{name}'; {guess}")
        attacks = [
            name for name in self.judge.conditions if any(each.traits["kind"] == "attack" for each in named(name))
        ]
        if self.judge.transfer and not attacks:
            raise ValueError(
                "judge.transfer: no attack is asked for that could be transferred; write conditions: {pgd: [0.0157]}"
            )
        if attacks and self.task.kind != "multiclass":
            raise ValueError(f"attacks ({', '.join(attacks)}) mislead answers of classes, not a {self.task.kind} task")
        return self

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric that is asked for, the deciding one first."""
        return tuple(dict.fromkeys((self.task.metric, *self.task.also, *self.judge.guards)))

    @field_validator("sizes")
    @classmethod
    def _sizes(cls, sizes: str | list[float]) -> str | list[float]:
        if isinstance(sizes, list) and not all(0 < size <= 1 for size in sizes):
            raise ValueError("sizes are shares of the training rows, above 0 and at most 1")
        return sizes

    @property
    def entries(self) -> dict[str, SourceEntry]:
        """The sources, and the alternative and the recipient under these names."""
        more = {ALTERNATIVE: self.alternative, RECIPIENT: self.recipient}
        return self.sources | {name: entry for name, entry in more.items() if entry is not None}

    @property
    def smaller_sizes(self) -> tuple[float, ...]:
        """The shares of the training rows, below the whole, at which learning is also looked at; rising."""
        sizes = ((0.1, 0.3) if self.ladder != "quick" else ()) if isinstance(self.sizes, str) else self.sizes
        return tuple(sorted({float(size) for size in sizes if size < 1}))

    @field_validator("margin")
    @classmethod
    def _margin(cls, margin: str | float) -> str | float:
        if isinstance(margin, float) and not 0 <= margin < 1e6:
            raise ValueError("the margin must be 0 or more")
        return margin


def short_name(spec: Any, index: int) -> str:
    """A readable name for a source given without one: the architecture or file stem, else `source1`."""
    if isinstance(spec, dict):
        return short_name(spec.get("spec", ""), index)
    if not isinstance(spec, str):
        return f"{type(spec).__name__.lower()}{index + 1}"
    target = re.split(r"[?@]", spec.split(":", 1)[-1])[0]
    stem = re.sub(r"[^\w.+-]", "_", Path(target).stem).strip("._-")
    return stem or ("columns" if spec == "columns:*" else f"source{index + 1}")


def parse(text: str, *, where: str) -> Recipe:
    """A recipe from YAML 1.2 text."""
    return validated(loaded(text, where=where), where=where)


def read(path: Path) -> Recipe:
    """A recipe from a file."""
    return parse(text_of(path), where=str(path))


def validated(given: Any, *, where: str) -> Recipe:
    """A recipe from plain values; all problems in one error, each with its path."""
    try:
        return Recipe.model_validate(given)
    except ValidationError as error:
        raise many_problems(
            "the recipe cannot be used", [sentence(item, _keys) for item in error.errors()], where=where
        ) from None


def _keys(location: tuple[Any, ...]) -> set[str]:
    models: dict[str, type[BaseModel]] = {
        "task": TaskEntry,
        "budget": Budget,
        "search": Search,
        "judge": Judge,
        "run": RunEntry,
        "sources": SourceEntry,
        "alternative": SourceEntry,
        "recipient": SourceEntry,
    }
    return set((models.get(str(location[0]), Recipe) if location else Recipe).model_fields)


def written(recipe: Recipe) -> str:
    """The recipe as YAML with every default written out."""
    return dumped(recipe.model_dump(mode="python"))
