"""The recipe: what a user writes, checked key by key before any work, with the nearest known name in every refusal."""

from __future__ import annotations

import difflib
import io
import math
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    ValidationError,
    field_validator,
    model_validator,
)

from transfuse.errors import UserError, many_problems, nearest

LARGEST_RECIPE_BYTES = 256 << 10
DEEPEST_NESTING = 32
ALTERNATIVES = ("str", "float", "int", "list[str]", "dict[str,any]", "literal['auto']", "[key]")
UNITS = {"ms": 0.001, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "hour": 3600.0, "hours": 3600.0}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceEntry(Strict):
    """One source: where it comes from, what is read of it, how it wants its input, which rows it has seen."""

    spec: Any
    taps: list[str] | None = None
    seen: str | list[str] = "unknown"
    prepare: dict[str, Any] | None = None

    @field_validator("spec")
    @classmethod
    def _spec(cls, spec: Any) -> Any:
        if spec is None or spec == "":
            raise ValueError("names no source; write e.g. torchvision:resnet18")
        return spec


class TaskEntry(Strict):
    kind: str = "multiclass"
    metric: str = "log_loss"
    also: list[str] = ["accuracy", "brier", "ece", "worst_class"]

    @field_validator("kind")
    @classmethod
    def _kind(cls, kind: str) -> str:
        if kind != "multiclass":
            raise ValueError(f"tasks of kind '{kind}' do not work yet; multiclass does")
        return kind


class Budget(Strict):
    """`train` stops the run after that time; `latency` is the limit of what may be recommended."""

    train: float | None = None
    latency: float | None = None

    @field_validator("train", "latency", mode="before")
    @classmethod
    def _duration(cls, value: Any) -> float | None:
        return None if value is None else seconds(value)


class Judge(Strict):
    test: Literal["winner", "all"] = "winner"


class RunEntry(Strict):
    """Where and how steps run; `threads` and `precision` change low bits, so they belong to the plan."""

    device: str = "auto"
    workers: StrictInt | Literal["auto"] = 1
    threads: StrictInt = Field(default=1, ge=1, le=1024)
    store: str = "default"
    precision: Literal["float32", "bf16"] = "float32"

    @field_validator("workers")
    @classmethod
    def _workers(cls, workers: int | str) -> int | str:
        if isinstance(workers, int) and not 1 <= workers <= 1024:
            raise ValueError("workers must lie between 1 and 1024")
        return workers


class Recipe(Strict):
    """A whole recipe; three lines (sources, data) are complete, everything else has a default."""

    sources: dict[str, SourceEntry]
    data: Any
    task: TaskEntry = TaskEntry()
    ladder: Literal["quick", "standard", "full"] = "quick"
    candidates: Literal["auto"] | list[str] | dict[str, Any] = "auto"
    train: dict[str, dict[str, Any]] = {}
    protocol: Literal["auto", "locked", "crossfit"] = "auto"
    margin: Literal["auto"] | StrictFloat = "auto"
    budget: Budget = Budget()
    seeds: StrictInt = Field(default=5, ge=1, le=1000)
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
    return stem or f"source{index + 1}"


def seconds(value: Any) -> float:
    """`20min`, `20 min`, `1h`, `30 ms` or a number of seconds."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", str(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        duration = float(value)
    else:
        duration = float(match[1]) * UNITS[match[2]] if match and match[2] in UNITS else 0.0
    if 0 < duration < math.inf:
        return duration
    raise ValueError(f"{value!r} is no duration; write 20min, 90 s, 1h or 30 ms")


def parse(text: str, *, where: str) -> Recipe:
    """A recipe from YAML 1.2 text; aliases are refused, since a few lines of them can stand for gigabytes."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if len(text.encode()) > LARGEST_RECIPE_BYTES:
        raise UserError(
            "this recipe is too large to be one",
            where=where,
            expected="at most 256 KiB",
            got=f"{len(text):,} characters",
        )
    try:
        _refuse_traps(text, where)
        given = YAML(typ="safe", pure=True).load(io.StringIO(text))
    except (YAMLError, RecursionError, ValueError) as error:
        # A ValueError is a scalar that looks like a date or a number and is none.
        problem = getattr(error, "problem", None) or (str(error) if isinstance(error, ValueError) else "it is not YAML")
        mark = getattr(error, "problem_mark", None)
        place = f"{where}, line {mark.line + 1}" if mark else where
        raise UserError(f"the recipe cannot be read: {problem}", where=place) from None
    return validated(given, where=where)


def _refuse_traps(text: str, where: str) -> None:
    """Aliases can stand for gigabytes and deep nesting for hours: both end here, after their first lines."""
    from ruamel.yaml import YAML
    from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

    depth = 0
    for event in YAML(typ="safe", pure=True).parse(io.StringIO(text)):
        if getattr(event, "anchor", None):
            raise UserError("recipes have no anchors or aliases (&name)", where=where, hint="write the value out")
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST_NESTING:
            raise UserError(
                "the recipe is nested too deeply", where=where, expected=f"at most {DEEPEST_NESTING} levels"
            )


def read(path: Path) -> Recipe:
    """A recipe from a file; its size is looked at before it is read."""
    if not path.is_file():
        folder = path.parent if path.parent.is_dir() else Path()
        near = difflib.get_close_matches(path.name, [item.name for item in folder.glob("*.y*ml")], n=1)
        raise UserError("there is no such recipe", where=str(path), hint=str(folder / near[0]) if near else None)
    if path.stat().st_size > LARGEST_RECIPE_BYTES:
        raise UserError(
            "this recipe is too large to be one",
            where=str(path),
            expected="at most 256 KiB",
            got=f"{path.stat().st_size:,} bytes",
        )
    try:
        return parse(path.read_text(encoding="utf-8"), where=str(path))
    except UnicodeDecodeError as error:
        raise UserError("the recipe is not UTF-8 text", where=str(path)) from error


def validated(given: Any, *, where: str) -> Recipe:
    """A recipe from plain values; all problems in one error, each with its path."""
    try:
        return Recipe.model_validate(given)
    except ValidationError as error:
        raise many_problems(
            "the recipe cannot be used", [_sentence(item) for item in error.errors()], where=where
        ) from None


def _sentence(problem: Any) -> str:
    path = ".".join(str(part) for part in problem["loc"] if part not in ALTERNATIVES)
    if problem["type"] == "extra_forbidden":
        name = str(problem["loc"][-1])
        known = _keys(problem["loc"][:-1])
        near = nearest(name, sorted(known))
        return f"unknown key '{path}'" + (
            f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(sorted(known))}"
        )
    message = problem["msg"].removeprefix("Value error, ")
    return f"{path}: {message}" if path else message


def _keys(location: tuple[Any, ...]) -> set[str]:
    models: dict[str, type[BaseModel]] = {
        "task": TaskEntry,
        "budget": Budget,
        "judge": Judge,
        "run": RunEntry,
        "sources": SourceEntry,
    }
    return set((models.get(str(location[0]), Recipe) if location else Recipe).model_fields)


def written(recipe: Recipe) -> str:
    """The recipe as YAML with every default written out."""
    from ruamel.yaml import YAML

    out = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 120
    yaml.dump(_plain(recipe.model_dump(mode="python")), out)
    return out.getvalue()


def _plain(value: Any) -> Any:
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str) and value[:1] in ("?", ":"):
        # The YAML writer leaves these bare inside braces, where they are marks of a key and a value.
        return DoubleQuotedScalarString(value)
    return value if isinstance(value, str | int | float | bool | None) else f"({type(value).__name__} given in Python)"
