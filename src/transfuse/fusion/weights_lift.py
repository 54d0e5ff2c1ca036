"""The lift of the weights family: what every merge of checkpoints needs done around it.

All problems are found from names, shapes and values before anything is merged. Sums run in float64 and are cast back to
the first source's type. Integer tensors (BatchNorm counters, position ids) are never averaged: the largest is kept.
Inputs are never changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transfuse.errors import UserError, many_problems
from transfuse.fusion.contract import Unit
from transfuse.registry import Entry
from transfuse.seeds import stream

Tensors = Mapping[str, np.ndarray]


def check(states: Mapping[str, Tensors], base: Tensors | None) -> None:
    """Names, shapes and values of all members at once; each problem names the tensor and the source."""
    first_name, first = next(iter(states.items()))
    others = {**states, **({"base": base} if base is not None else {})}
    problems: list[str] = []
    for source, state in others.items():
        problems += [f"tensor '{name}' is missing in '{source}'" for name in sorted(set(first) - set(state))]
        problems += [
            f"tensor '{name}' of '{source}' is unknown to '{first_name}'" for name in sorted(set(state) - set(first))
        ]
        for name in sorted(set(first) & set(state)):
            problems += _misfit(name, (first_name, first[name]), (source, state[name]))
    if problems:
        raise many_problems(
            "these checkpoints cannot be merged", problems, hint="merge checkpoints of one architecture"
        )


def _misfit(name: str, first: tuple[str, np.ndarray], other: tuple[str, np.ndarray]) -> list[str]:
    """What keeps one tensor of a source from being merged with the first source's. Floats of any width go together."""
    (first_name, wanted), (source, found) = first, other
    if found.shape != wanted.shape:
        return [f"tensor '{name}': {list(wanted.shape)} in '{first_name}', {list(found.shape)} in '{source}'"]
    if np.issubdtype(found.dtype, np.complexfloating):
        return [f"tensor '{name}' of '{source}' holds complex numbers, which are not merged"]
    floats = np.issubdtype(found.dtype, np.floating)
    if found.dtype != wanted.dtype and not (floats and np.issubdtype(wanted.dtype, np.floating)):
        return [f"tensor '{name}': {wanted.dtype} in '{first_name}', {found.dtype} in '{source}'"]
    if floats and not np.isfinite(found).all():
        return [f"tensor '{name}' of '{source}' holds NaN or infinity"]
    return []


def weights_of(entry: Entry, weights: Sequence[float] | None, count: int) -> np.ndarray:
    """The members' weights [K], all one by default; a wrong number is refused, and a zero sum where they are shares."""
    values = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
    if values.shape != (count,) or not np.isfinite(values).all():
        raise UserError("one finite weight per source is needed", expected=f"{count} numbers", got=str(list(values)))
    if abs(values.sum()) < 1e-12 and entry.traits.get("weights") != "scales":
        raise UserError("the weights sum to zero", got=str(list(values)))
    return values


def check_members(entry: Entry, states: Mapping[str, Any], base: Any) -> None:
    """Refuse another number of members than the method is made for, and a missing base."""
    if not states:
        raise UserError("nothing to merge", expected="at least one source")
    wanted = entry.traits.get("members")
    if wanted and len(states) != wanted:
        raise UserError(f"{entry.full_name} merges exactly {wanted} sources", got=f"{len(states)}: {', '.join(states)}")
    if entry.traits.get("needs_base") and base is None:
        raise UserError(f"{entry.full_name} needs a base", hint="give base=, the checkpoint the sources started from")


def merge_states(
    entry: Entry,
    states: Mapping[str, Tensors],
    *,
    weights: Sequence[float] | None = None,
    base: Tensors | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Merge named tensors {source: {tensor: array}}; the result shares no storage with its inputs.

    Raises UserError for settings the method refuses, checkpoints or weights that do not fit, a missing base, and a
    result that its type cannot hold.
    """
    given = entry.settings(settings or {})
    check_members(entry, states, base)
    check(states, base)
    values = weights_of(entry, weights, len(states))
    module = entry.load()
    members = list(states.values())

    def unit(name: str, whole: Any = None) -> Unit:
        tensors = [member[name] for member in members]
        return Unit(
            name=name,
            x=np.stack([tensor.astype(np.float64) for tensor in tensors]),
            w=values.copy(),
            rng=stream(seed, "merge", name),
            base=None if base is None else base[name].astype(np.float64),
            settings=given,
            whole=whole,
        )

    whole = None
    for _ in range(getattr(module, "SURVEYS", 0)):
        whole = module.settle([module.survey(unit(name, whole)) for name in members[0] if _float(members[0][name])])
    merged: dict[str, np.ndarray] = {}
    for name, example in members[0].items():
        if _float(example):
            merged[name] = _cast(np.array(module.merge(unit(name, whole)), dtype=np.float64), name, example, entry)
        else:
            merged[name] = np.asarray(np.max(np.stack([member[name] for member in members]), axis=0))
    return merged


def _float(tensor: np.ndarray) -> bool:
    return np.issubdtype(tensor.dtype, np.floating)


def _cast(found: np.ndarray, name: str, example: np.ndarray, entry: Entry) -> np.ndarray:
    if found.shape != example.shape:
        raise ValueError(f"{entry.full_name} returned {found.shape} for '{name}', expected {example.shape}")
    with np.errstate(over="ignore"):
        narrow = found.astype(example.dtype)
    if not np.isfinite(narrow).all():
        raise UserError(
            f"{entry.full_name} gives numbers that {example.dtype} cannot hold",
            where=f"tensor '{name}'",
            got=f"up to {np.abs(found).max():g}",
            hint="weights further from zero extrapolate further; use smaller ones, or checkpoints in float32",
        )
    return narrow
