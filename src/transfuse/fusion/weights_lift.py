"""The lift of the weights family: what every merge of checkpoints needs done around it.

All problems of names, shapes and types are found from headers before a number is read. Sums run in float64 and are
rounded once, to the first source's type. Integer tensors (BatchNorm counters, position ids) and BatchNorm's running
statistics are no weights: `buffers.py` says what becomes of them. Methods that look at each entry alone get their
tensors in pieces of a fixed size, so memory does not grow with the checkpoint and neither files, order nor threads
change a bit. Inputs are never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from transfuse.errors import UserError
from transfuse.fusion.buffers import Buffers, integers, statistics, what_is_no_weight
from transfuse.fusion.contract import Unit
from transfuse.fusion.preflight import FLOATS, check
from transfuse.registry import Entry
from transfuse.seeds import stream
from transfuse.source.weights import ArrayReader, Reader, cast

Tensors = Mapping[str, np.ndarray]
# Statistics that a method needs, by their name and then by member, in the members' order.
Stats = Mapping[str, Mapping[str, Tensors]]
PIECE = 65_536


@dataclass(frozen=True)
class Job:
    """One merge, checked: the method, its members and base as readers, weights [K], settings, statistics and seed."""

    entry: Entry
    members: Mapping[str, Reader]
    base: Reader | None
    weights: np.ndarray
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    buffers: Buffers = field(default_factory=Buffers)
    stats: Stats = field(default_factory=dict)

    @property
    def first(self) -> Reader:
        """The member whose names and types the result has."""
        return next(iter(self.members.values()))

    @property
    def weighed(self) -> list[str]:
        """The tensors that the method merges: floats that are no running statistics."""
        names = self.first.names()
        return [name for name in names if self.first.meta(name)[1] in FLOATS and not what_is_no_weight(name, names)]

    @property
    def every(self) -> list[tuple[str, Reader]]:
        """The members by name, and the base after them where there is one."""
        return [*self.members.items(), *([("base", self.base)] if self.base is not None else [])]

    def outline(self, name: str, whole: Any) -> Unit:
        """A unit without entries: what is known of a tensor before it is read."""
        return Unit(name, np.empty((len(self.members), 0)), self.weights.copy(), None, None, self.settings, {}, whole)

    def units(self, name: str, whole: Any, stride: int = 1) -> Iterator[tuple[slice, Unit]]:
        """A tensor as units: in pieces of its flat form where entries stand alone, else in one.

        With a stride, units hold every so many-th entry only; what they point at is not to be kept after the next one.
        """
        shape, _ = self.first.meta(name)
        size, alone = int(np.prod(shape)), bool(self.entry.traits.get("elementwise"))
        step = PIECE if alone else max(size, 1)
        arrays = {source: np.asarray(reader.read(name)).reshape(-1) for source, reader in self.members.items()}
        start = None if self.base is None else np.asarray(self.base.read(name)).reshape(-1)
        stat, form = self._stat(name), (-1,) if alone else shape
        narrow = self.entry.traits.get("float32") and all(reader.meta(name)[1] == "F32" for _, reader in self.every)
        room = np.empty((len(self.every), min(step, size)), np.float32 if narrow else np.float64)
        for begin in range(0, max(size, 1), step):
            part = slice(begin, min(begin + step, size), stride)
            count = len(range(part.start, part.stop, stride))
            for row, (source, array) in zip(room, arrays.items(), strict=False):
                _widen(array[part], row[:count], (name, source))
            if start is not None:
                _widen(start[part], room[-1, :count], (name, "base"))
            x = room[: len(arrays), :count]
            yield (
                part,
                Unit(
                    name=name,
                    x=x.reshape(len(x), *form) if form != (-1,) else x,
                    w=self.weights.copy(),
                    rng=_Later(self.seed, "merge", name, begin // step),
                    base=None if start is None else room[-1, :count].reshape(form),
                    settings=self.settings,
                    stat={need: rows.reshape(len(rows), -1)[:, part] for need, rows in stat.items()} if alone else stat,
                    whole=whole,
                    piece=begin // step,
                ),
            )

    def _stat(self, name: str) -> dict[str, np.ndarray]:
        """What the method needs to know of one tensor, [K, ...]; a tensor of which some member lacks it has none."""
        return {
            need: np.stack([np.asarray(of[member][name], dtype=np.float64) for member in self.members])
            for need, of in self.stats.items()
            if all(name in of[member] for member in self.members)
        }


class _Later:
    """A generator that is made when something is first drawn; most merges draw nothing, and keys cost time."""

    def __init__(self, *names: str | int) -> None:
        self._names = names
        self._made: np.random.Generator | None = None

    def __getattr__(self, name: str) -> Any:
        self._made = self._made or stream(*self._names)
        return getattr(self._made, name)


def _widen(values: np.ndarray, room: np.ndarray, where: tuple[str, str]) -> None:
    """The values in the room's type, refused where one is NaN or infinite."""
    np.copyto(room, values)
    _require_finite(values, where)


def _require_finite(values: np.ndarray, where: tuple[str, str]) -> None:
    # A sum is cheaper to look at than each number; it may also have become too large.
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum()
    if not np.isfinite(total) and not np.isfinite(values).all():
        name, source = where
        raise UserError(f"tensor '{name}' of '{source}' holds NaN or infinity, so it cannot be merged")


def job(
    entry: Entry,
    members: Mapping[str, Reader],
    *,
    weights: Sequence[float] | None = None,
    base: Reader | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    buffers: Buffers | None = None,
    stats: Stats | None = None,
) -> Job:
    """A merge whose every part fits; no number of a checkpoint has been read yet.

    Raises UserError for settings the method refuses, checkpoints or weights that do not fit, and a missing base or
    statistic.
    """
    given = entry.settings(settings or {})
    if not members:
        raise UserError("nothing to merge", expected="at least one source")
    wanted = entry.traits.get("members")
    if wanted and len(members) != wanted:
        raise UserError(f"{entry.full_name} merges exactly {wanted} sources", got=f"{len(members)}")
    if entry.traits.get("needs_base") and base is None:
        raise UserError(f"{entry.full_name} needs a base", hint="base= or --base FILE: what all sources started from")
    known = {need: (stats or {}).get(need, {}) for need in entry.needs}
    for need, of in known.items():
        if lacking := [member for member in members if member not in of]:
            raise UserError(
                f"{entry.full_name} needs the statistic '{need}' of every source",
                got=f"none of {', '.join(lacking)}",
                hint="recipes and transfuse.merge(..., data=images) collect it; files alone do not hold it",
            )
    check(members, base)
    shares = weights_of(entry, weights, len(members))
    return Job(entry, members, base, shares, given, seed, buffers or Buffers(), known)


def weights_of(entry: Entry, weights: Sequence[float] | None, count: int) -> np.ndarray:
    """The members' weights [K], all one by default; a wrong number is refused, and a zero sum where they are shares."""
    values = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
    if values.shape != (count,) or not np.isfinite(values).all():
        raise UserError("one finite weight per source is needed", expected=f"{count} numbers", got=str(values.tolist()))
    if abs(values.sum()) < 1e-12 and entry.traits.get("weights") != "scales":
        raise UserError("the weights sum to zero", got=str(values.tolist()))
    return values


def carry_out(work: Job, room: Callable[[str], Any], *, workers: int = 1) -> None:
    """Merge every tensor into `room(name)`, a flat array of the first source's stored type; tensors in parallel.

    Surveys, where the method has any, run over all tensors first: they find what the entries alone do not tell. Raises
    UserError naming tensor and source for NaN or infinity, and for a result that its type cannot hold.
    """
    module = work.entry.load()
    with ThreadPoolExecutor(workers) as pool:
        whole: Any = None
        passes = getattr(module, "surveys", None)
        strides = list(getattr(module, "SURVEYS", ()) if passes is None else passes(work.settings))
        while strides:
            whole = _surveyed(work, module, whole, pool, strides[0])
            again = isinstance(whole, Mapping) and whole.get("again")
            strides = strides if again else strides[1:]
        for _ in pool.map(lambda name: _merge(work, module, name, whole, room(name)), work.first.names()):
            pass


def _surveyed(work: Job, module: Any, whole: Any, pool: ThreadPoolExecutor, stride: int) -> Any:
    """One pass over all weights: folded within each tensor, then gathered in the tensors' order whoever did it."""

    def fold(name: str) -> Any:
        found = None
        for _, unit in work.units(name, whole, stride):
            found = module.survey(unit, found)
        return found

    total = None
    for name, found in zip(work.weighed, pool.map(fold, work.weighed), strict=True):
        total = module.gather(total, name, found)
    return whole if total is None else module.settle(total, work.settings)


def _merge(work: Job, module: Any, name: str, whole: Any, room: Any) -> None:
    shape, dtype = work.first.meta(name)
    if dtype not in FLOATS:
        room[...] = integers(name, list(work.members.values()), work.buffers)
        return
    narrow = partial(_narrow, name=name, dtype=dtype, entry=work.entry)
    if what_is_no_weight(name, work.first.names()):
        room[...] = narrow(statistics(name, work.members, work.weights, work.buffers))
        return
    if hasattr(module, "coefficients"):
        _combine(work, module.coefficients(work.outline(name, whole)), name, room, narrow)
        return
    for part, unit in work.units(name, whole):
        found = np.asarray(module.merge(unit), dtype=np.float64)
        if found.shape != np.shape(unit.x)[1:]:
            raise ValueError(f"{work.entry.full_name} returned {found.shape} for '{name}', expected {shape}")
        room[part] = narrow(found.reshape(-1))


def _combine(
    work: Job, coefficients: np.ndarray, name: str, room: Any, narrow: Callable[[np.ndarray], np.ndarray]
) -> None:
    """The sum of c_k x_k, read once and widened nowhere: half the passes that units take, and the same law.

    A NaN or infinity in anything that is added up makes the sum one, so only sums are looked at, and inputs only where
    a sum is none.
    """
    arrays = [np.asarray(reader.read(name)).reshape(-1) for _, reader in work.every]
    # A base that the method does not look at counts nothing, but must be sound.
    coefficients = np.append(coefficients, np.zeros(len(arrays) - len(coefficients)))
    size = arrays[0].size
    total, term = np.empty((2, min(PIECE, size)))
    for begin in range(0, size, PIECE):
        part = slice(begin, min(begin + PIECE, size))
        sums, one = total[: part.stop - begin], term[: part.stop - begin]
        with np.errstate(over="ignore", invalid="ignore"):
            np.multiply(arrays[0][part], coefficients[0], out=sums, dtype=np.float64)
            for array, share in zip(arrays[1:], coefficients[1:], strict=True):
                np.multiply(array[part], share, out=one, dtype=np.float64)
                np.add(sums, one, out=sums)
        try:
            room[part] = narrow(sums)
        except UserError:
            for (source, _), array in zip(work.every, arrays, strict=True):
                _require_finite(array[part], (name, source))
            raise


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
    **more: Any,
) -> dict[str, np.ndarray]:
    """Merge named tensors {source: {tensor: array}}; the result shares no storage with its inputs. As `job` refuses.

    `more`: `buffers` and `stats`, as `job` takes them.
    """
    members = {name: ArrayReader(state, name) for name, state in states.items()}
    start = None if base is None else ArrayReader(base, "base")
    work = job(entry, members, weights=weights, base=start, settings=settings, seed=seed, **more)
    first = next(iter(states.values()))
    merged = {name: np.empty(array.shape, array.dtype) for name, array in first.items()}
    carry_out(work, lambda name: merged[name].reshape(-1))
    return merged
