"""The lift of the weights family: what every merge of checkpoints needs done around it.

All problems of names, shapes and types are found from headers before a number is read. Sums run in float64 and are
rounded once, to the first source's type. Integer tensors (BatchNorm counters, position ids) are never averaged: the
largest is kept. Methods that look at each entry alone get their tensors in pieces of a fixed size, so memory does not
grow with the checkpoint and neither files, order nor threads change a bit. Inputs are never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from transfuse.errors import UserError, many_problems
from transfuse.fusion.contract import Unit
from transfuse.registry import Entry
from transfuse.seeds import stream
from transfuse.source.weights import ArrayReader, Reader, cast

Tensors = Mapping[str, np.ndarray]
PIECE = 65_536
FLOATS = ("F16", "BF16", "F32", "F64")


@dataclass(frozen=True)
class Job:
    """One merge, checked: the method, its members and base as readers, weights [K], settings and seed."""

    entry: Entry
    members: Mapping[str, Reader]
    base: Reader | None
    weights: np.ndarray
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    @property
    def first(self) -> Reader:
        """The member whose names and types the result has."""
        return next(iter(self.members.values()))

    def units(self, name: str, whole: Any) -> Iterator[tuple[slice, Unit]]:
        """A tensor as units: in pieces of its flat form where entries stand alone, else in one."""
        shape, _ = self.first.meta(name)
        size = int(np.prod(shape))
        step = PIECE if self.entry.traits.get("elementwise") else max(size, 1)
        arrays = {source: reader.read(name).reshape(-1) for source, reader in self.members.items()}
        start = None if self.base is None else self.base.read(name).reshape(-1)
        form = (-1,) if self.entry.traits.get("elementwise") else shape
        for begin in range(0, max(size, 1), step):
            part = slice(begin, min(begin + step, size))
            yield (
                part,
                Unit(
                    name=name,
                    x=np.stack([_wide(array[part], name, source).reshape(form) for source, array in arrays.items()]),
                    w=self.weights.copy(),
                    rng=stream(self.seed, "merge", name, begin // step),
                    base=None if start is None else _wide(start[part], name, "base").reshape(form),
                    settings=self.settings,
                    whole=whole,
                    piece=begin // step,
                ),
            )


def _wide(values: np.ndarray, name: str, source: str) -> np.ndarray:
    wide = values.astype(np.float64)
    if not np.isfinite(wide).all():
        raise UserError(f"tensor '{name}' of '{source}' holds NaN or infinity, so it cannot be merged")
    return wide


def job(
    entry: Entry,
    members: Mapping[str, Reader],
    *,
    weights: Sequence[float] | None = None,
    base: Reader | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Job:
    """A merge whose every part fits; no number of a checkpoint has been read yet.

    Raises UserError for settings the method refuses, checkpoints or weights that do not fit, and a missing base.
    """
    given = entry.settings(settings or {})
    if not members:
        raise UserError("nothing to merge", expected="at least one source")
    wanted = entry.traits.get("members")
    if wanted and len(members) != wanted:
        raise UserError(f"{entry.full_name} merges exactly {wanted} sources", got=f"{len(members)}")
    if entry.traits.get("needs_base") and base is None:
        raise UserError(f"{entry.full_name} needs a base", hint="give base=, the checkpoint the sources started from")
    check(members, base)
    return Job(entry, members, base, weights_of(entry, weights, len(members)), given, seed)


def check(members: Mapping[str, Reader], base: Reader | None) -> None:
    """Names, shapes and types of all members at once; each problem names the tensor and the source."""
    first_name, first = next(iter(members.items()))
    problems: list[str] = []
    for source, reader in {**members, **({"base": base} if base is not None else {})}.items():
        there, here = set(first.names()), set(reader.names())
        problems += [f"tensor '{name}' is missing in '{source}'" for name in sorted(there - here)]
        problems += [f"tensor '{name}' of '{source}' is unknown to '{first_name}'" for name in sorted(here - there)]
        for name in sorted(there & here):
            problems += _misfit(name, (first_name, *first.meta(name)), (source, *reader.meta(name)))
    if problems:
        raise many_problems(
            "these checkpoints cannot be merged", problems, hint="merge checkpoints of one architecture"
        )


def _misfit(name: str, first: tuple[str, tuple[int, ...], str], other: tuple[str, tuple[int, ...], str]) -> list[str]:
    """What keeps one tensor of a source from being merged with the first source's. Floats of any width go together."""
    (first_name, wanted, wanted_type), (source, found, found_type) = first, other
    if found != wanted:
        return [f"tensor '{name}': {list(wanted)} in '{first_name}', {list(found)} in '{source}'"]
    if found_type.startswith(("C", "complex", "F8")):
        return [f"tensor '{name}' of '{source}' holds numbers of the type {found_type}, which are not merged"]
    if found_type != wanted_type and not (found_type in FLOATS and wanted_type in FLOATS):
        return [f"tensor '{name}': {wanted_type} in '{first_name}', {found_type} in '{source}'"]
    return []


def weights_of(entry: Entry, weights: Sequence[float] | None, count: int) -> np.ndarray:
    """The members' weights [K], all one by default; a wrong number is refused, and a zero sum where they are shares."""
    values = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
    if values.shape != (count,) or not np.isfinite(values).all():
        raise UserError("one finite weight per source is needed", expected=f"{count} numbers", got=str(list(values)))
    if abs(values.sum()) < 1e-12 and entry.traits.get("weights") != "scales":
        raise UserError("the weights sum to zero", got=str(list(values)))
    return values


def carry_out(work: Job, room: Callable[[str], np.ndarray], *, workers: int = 1) -> None:
    """Merge every tensor into `room(name)`, a flat array of the first source's stored type; tensors in parallel.

    Surveys, where the method has any, run over all tensors first: they find what the entries alone do not tell. Raises
    UserError naming tensor and source for NaN or infinity, and for a result that its type cannot hold.
    """
    module = work.entry.load()
    with ThreadPoolExecutor(workers) as pool:
        whole = None
        for _ in range(getattr(module, "SURVEYS", 0)):
            whole = _surveyed(work, module, whole, pool)
        for _ in pool.map(lambda name: _merge(work, module, name, whole, room(name)), work.first.names()):
            pass


def _surveyed(work: Job, module: Any, whole: Any, pool: ThreadPoolExecutor) -> Any:
    """One pass over all float tensors: folded within each, then gathered in the tensors' order whoever did it."""

    def fold(name: str) -> Any:
        found = None
        for _, unit in work.units(name, whole):
            found = module.survey(unit, found)
        return found

    names, total = [name for name in work.first.names() if work.first.meta(name)[1] in FLOATS], None
    for name, found in zip(names, pool.map(fold, names), strict=True):
        total = module.gather(total, name, found)
    return module.settle(total, work.settings)


def _merge(work: Job, module: Any, name: str, whole: Any, room: np.ndarray) -> None:
    shape, dtype = work.first.meta(name)
    if dtype not in FLOATS:
        room[...] = np.max(np.stack([reader.read(name).reshape(-1) for reader in work.members.values()]), axis=0)
        return
    for part, unit in work.units(name, whole):
        found = np.asarray(module.merge(unit), dtype=np.float64)
        if found.shape != np.shape(unit.x)[1:]:
            raise ValueError(f"{work.entry.full_name} returned {found.shape} for '{name}', expected {shape}")
        room[part] = _narrow(found.reshape(-1), name, dtype, work.entry)


def _narrow(found: np.ndarray, name: str, dtype: str, entry: Entry) -> np.ndarray:
    narrow, sound = cast(found, dtype)
    if not sound:
        raise UserError(
            f"{entry.full_name} gives numbers that {dtype} cannot hold",
            where=f"tensor '{name}'",
            got=f"up to {np.abs(found).max():g}",
            hint="weights further from zero extrapolate further; use smaller ones, or checkpoints in float32",
        )
    return narrow


def merge_states(
    entry: Entry,
    states: Mapping[str, Tensors],
    *,
    weights: Sequence[float] | None = None,
    base: Tensors | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Merge named tensors {source: {tensor: array}}; the result shares no storage with its inputs. As `job` refuses."""
    members = {name: ArrayReader(state, name) for name, state in states.items()}
    start = None if base is None else ArrayReader(base, "base")
    work = job(entry, members, weights=weights, base=start, settings=settings, seed=seed)
    first = next(iter(states.values()))
    merged = {name: np.empty(array.shape, array.dtype) for name, array in first.items()}
    carry_out(work, lambda name: merged[name].reshape(-1))
    return merged
