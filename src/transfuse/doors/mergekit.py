"""mergekit's YAML read as a merge of ours: methods both have, in mergekit's own meaning; all else is refused by name.

Shared: linear, slerp, task_arithmetic, ties, dare_linear, model_stock. Where meanings differ, the settings that give
mergekit's are taken: TIES trims tensor by tensor, keeps one entry at least, elects with weights and divides by them;
DARE rescales each tensor to its old sum of magnitudes (its draws are another generator's); SLERP goes straight between
opposite directions; Model Stock is not held to its range. Layer slices, gradients over layers, parameters by tensor
name, tokenizers and chat templates are refused, and so are negative weights in TIES, which mergekit divides away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfuse.errors import UserError, many_problems, unknown_name
from transfuse.registry import Entry

METHODS = {
    "linear": "mean",
    "slerp": "slerp",
    "task_arithmetic": "task_arithmetic",
    "ties": "ties",
    "dare_linear": "dare",
    "model_stock": "model_stock",
}
# What mergekit has and we do not, so that the message can say so.
OTHERS = (
    "nuslerp", "multislerp", "karcher", "dare_ties", "della", "della_linear", "breadcrumbs", "breadcrumbs_ties", "sce",
    "nearswap", "arcee_fusion", "passthrough", "ram", "ramplus_tl",
)  # fmt: skip
KEYS = ("merge_method", "models", "base_model", "parameters", "dtype", "out_dtype")
REFUSED = ("slices", "tokenizer", "tokenizer_source", "chat_template", "modules")
# What gives mergekit's numbers, where ours differ by default.
THEIRS: dict[str, dict[str, Any]] = {
    "ties": {"trim_scope": "tensor", "kept": "one", "election_weights": True, "divisor": "weights"},
    "dare_linear": {"rescale": "l1"},
    "slerp": {"edges": "mergekit"},
    "model_stock": {"hold": False},
}
# What mergekit calls a parameter of its own, and what it is here.
WORDS = {
    "t": "t is how much the second source weighs: t=0.3 is --weights 0.7,0.3 (in Python weights=[0.7, 0.3])",
    "weight": "--weights 0.5,0.5 has one number a source (in Python weights=[0.5, 0.5])",
    "weights": "--weights 0.5,0.5 is an option of its own",
    "lambda": "lambda is called scale",
    "base_model": "--base FILE is an option of its own (in Python base=...)",
}


@dataclass(frozen=True)
class Translated:
    """A merge in our words: method, sources by name, weights, base and settings."""

    method: str
    sources: dict[str, str]
    weights: list[float] | None
    base: str | None
    settings: dict[str, Any]


def translated(given: Any, *, where: str) -> Translated:
    """The merge that a mergekit configuration asks for. Raises one UserError for all that is not shared."""
    if not isinstance(given, Mapping) or "merge_method" not in given:
        raise UserError("this is no mergekit configuration", where=where, expected="merge_method, models, ...")
    name = str(given["merge_method"])
    if name not in METHODS:
        if name in OTHERS:
            shared = ", ".join(METHODS)
            raise UserError(f"mergekit's method '{name}' is not one of ours", where=where, expected=f"one of {shared}")
        raise unknown_name("merge_method", name, METHODS, where=where)
    problems = [f"'{key}' is not read: it would be ignored silently" for key in given if key in REFUSED]
    problems += [f"unknown key '{key}'" for key in given if key not in (*KEYS, *REFUSED)]
    models, weights = _models(given, problems)
    base = None if given.get("base_model") is None else str(given["base_model"])
    own = None if weights is None else [share for model, share in zip(models, weights, strict=True) if model != base]
    settings, shares = _settings(name, given, own, problems)
    if str(given.get("out_dtype", given.get("dtype", "float32"))) not in ("float32", "None"):
        problems.append("`dtype`: the result has the first source's type, sums are in float64")
    if problems:
        raise many_problems("this configuration asks for what is not shared", problems, where=where)
    sources = _named(models)
    if name in ("task_arithmetic", "ties", "dare_linear", "model_stock") and base in models:
        # mergekit lists the base among the models, where it adds nothing to itself.
        keep = [number for number, model in enumerate(models) if model != base]
        sources = _named([models[number] for number in keep])
        weights = None if weights is None else [weights[number] for number in keep]
    if name == "slerp":
        if base is None or len(models) not in (1, 2):
            raise UserError("mergekit's slerp goes from its base_model to the other", where=where)
        other = next((model for model in models if model != base), base)
        return Translated("slerp", {"base": base, "other": other}, shares, None, settings)
    if name == "model_stock":
        weights = None
    return Translated(METHODS[name], sources, weights, base if name != "linear" else None, settings)


def check_words(entry: Entry, names: Iterable[str]) -> None:
    """Refuse what mergekit calls a parameter and we otherwise, with what it is here; other names are the method's."""
    for name in names:
        if name in WORDS and name not in entry.parameters:
            told = unknown_name(f"parameter of {entry.full_name}", name, entry.parameters)
            hint = WORDS[name] if name != "lambda" or "scale" in entry.parameters else None
            raise UserError(told.what, expected=told.expected, hint=hint)


def _models(given: Mapping[str, Any], problems: list[str]) -> tuple[list[str], list[float] | None]:
    """The models in order, and their weights where any is written."""
    found, weights = [], []
    for number, entry in enumerate(given.get("models") or []):
        if not isinstance(entry, Mapping) or "model" not in entry:
            problems.append(f"models[{number}] names no model")
            continue
        found.append(str(entry["model"]))
        own = dict(entry.get("parameters") or {})
        weights.append(_number(own.pop("weight", None), f"models[{number}].weight", problems))
        density = own.pop("density", None)
        if density is not None:
            _number(density, f"models[{number}].density", problems)
        problems += [f"models[{number}]: unknown parameter '{key}'" for key in own]
    if not found and "slices" not in given:
        problems.append("`models` lists no model")
    written = [weight for weight in weights if weight is not None]
    return found, [1.0 if weight is None else weight for weight in weights] if written else None


def _settings(
    name: str, given: Mapping[str, Any], weights: list[float] | None, problems: list[str]
) -> tuple[dict[str, Any], list[float] | None]:
    """The method's settings, and for slerp the shares of its two ends."""
    own = dict(given.get("parameters") or {})
    settings: dict[str, Any] = dict(THEIRS.get(name, {}))
    shares = None
    if name == "slerp":
        t = _number(own.pop("t", None), "parameters.t", problems)
        shares = None if t is None else [1.0 - t, t]
        if t is None:
            problems.append("slerp needs `parameters: {t: ...}`")
    if name in ("ties", "dare_linear"):
        densities = {
            _number((entry.get("parameters") or {}).get("density", own.get("density", 1.0)), "density", problems)
            for entry in given.get("models") or []
            if isinstance(entry, Mapping) and str(entry.get("model")) != str(given.get("base_model"))
        }
        own.pop("density", None)
        if len(densities) > 1:
            problems.append("`density` differs between models; ours is one for all")
        settings |= {"density": next(iter(densities), None)}
    rescales = name == "dare_linear"
    if bool(own.pop("rescale", rescales)) != rescales:
        if name == "dare_linear":
            settings["rescale"] = "none"
        else:
            problems.append(f"`rescale: true` is not what {name} does here")
    scale = _number(own.pop("lambda", None), "parameters.lambda", problems)
    if scale is not None:
        settings["scale"] = scale
    own.pop("int8_mask", None)
    wanted = name in ("linear", "ties")
    if bool(own.pop("normalize", wanted)) != wanted:
        total = sum(weights or [])
        if name == "ties":
            settings["divisor"] = "none"
        elif name in ("task_arithmetic", "dare_linear"):
            settings["scale"] = settings.get("scale", 1.0) / (total if abs(total) >= 1e-8 else 1.0)
        else:
            problems.append(f"`normalize: {not wanted}` is not what {name} does here")
    if name == "ties" and settings["divisor"] == "weights" and min(weights or [1.0]) < 0:
        problems.append("TIES divides by weights, so a negative one would turn into a positive one")
    problems += [f"unknown parameter '{key}'" for key in own]
    return settings, shares


def _number(value: Any, where: str, problems: list[str]) -> float | None:
    """A plain number; lists are gradients over layers and mappings are filters by name, which are refused."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        kind = "a gradient over layers" if isinstance(value, list) else "no plain number"
        problems.append(f"{where} is {kind}, which is not read")
        return None
    return float(value)


def _named(models: list[str]) -> dict[str, str]:
    """The models by what tells them apart: the last part of their paths, else their places in the list."""
    names = [re.sub(r"[^\w.+-]", "_", Path(model).name.removesuffix(".safetensors")) for model in models]
    if len(set(names)) < len(names) or not all(names):
        names = [f"model{number}" for number in range(len(models))]
    return dict(zip(names, models, strict=True))
