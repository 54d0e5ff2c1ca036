"""What the laws of merging are tried on: without it each law would draw checkpoints of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transfuse.fusion import weights_lift
from transfuse.fusion.checks.law import require, require_same
from transfuse.fusion.contract import Unit
from transfuse.registry import Entry
from transfuse.seeds import stream

State = dict[str, np.ndarray]
TENSORS = {
    "conv.weight": ((4, 3, 3, 3), "float32"),
    "norm.bias": ((4,), "float32"),
    "norm.num_batches_tracked": ((), "int64"),
    "position_ids": ((6,), "int64"),
    "half": ((5, 4), "float16"),
    "double": ((3, 2), "float64"),
    "scale": ((), "float32"),
}
# A network that can run has no negative variance, so these are drawn apart.
STATISTICS = {"norm.running_mean": (4,), "norm.running_var": (4,)}
FLOATS = [name for name, (_, dtype) in TENSORS.items() if dtype.startswith("float")]
UNEQUAL = (0.5, 2.0, 1.0)


def drawn(name: str, *, wide: bool) -> State:
    rng = stream("contract", name)
    made = {
        tensor: np.asarray(rng.normal(size=shape) if dtype.startswith("float") else rng.integers(1, 99, shape), dtype)
        for tensor, (shape, dtype) in TENSORS.items()
    }
    return {tensor: made[tensor].astype(np.float64) for tensor in FLOATS} if wide else made


def several(entry: Entry, *, wide: bool = False) -> dict[str, State]:
    """Three sources, or as many as the method takes; `wide` leaves float64 tensors only, so that algebra is exact."""
    names = ("first", "second", "third")[: entry.traits.get("members", 3)]
    return {name: drawn(name, wide=wide) for name in names}


def unequal(entry: Entry) -> tuple[float, ...]:
    """A weight for each of them."""
    return UNEQUAL[: entry.traits.get("members", 3)]


def taken(entry: Entry, *cases: tuple[float, ...]) -> list[tuple[float, ...]]:
    """Those weights whose number the method takes."""
    wanted = entry.traits.get("members")
    return [weights for weights in cases if wanted in (None, len(weights))]


def scaled(entry: Entry) -> bool:
    """Whether weights multiply what is added, rather than being shares of a whole."""
    return entry.traits.get("weights") == "scales"


def merged(entry: Entry, states: Mapping[str, State], weights: Sequence[float] | None = None, **more: Any) -> State:
    base = more.pop("base", None)
    if base is None and entry.traits.get("needs_base") and states:
        first = next(iter(states.values()))
        start = drawn("base", wide=False)
        base = {tensor: start[tensor].astype(first[tensor].dtype) for tensor in first if tensor in start}
    more.setdefault("stats", stats_of(entry, states))
    return weights_lift.merge_states(entry, states, weights=weights, base=base, **more)


def one_unit(entry: Entry, weights: Sequence[float]) -> Unit:
    count = len(weights)
    rng = stream("contract unit", count)
    return Unit(
        name="tensor",
        x=rng.normal(size=(count, 5, 3)),
        w=np.array(weights, dtype=np.float64),
        rng=stream("contract draws", count),
        base=rng.normal(size=(5, 3)) if entry.traits.get("needs_base") else None,
        settings=entry.settings({}),
        stat={need: np.stack([statistic(need, f"unit {k}", (5, 3)) for k in range(count)]) for need in entry.needs},
    )


def stats_of(entry: Entry, states: Mapping[str, State]) -> dict[str, dict[str, State]]:
    """What the method needs to know of each source: for every float tensor that can have such a statistic."""
    return {
        need: {
            source: {
                name: statistic(need, f"{source} {name}", array.shape)
                for name, array in state.items()
                if array.dtype.kind == "f" and (need != "gram" or array.ndim > 1)
            }
            for source, state in states.items()
        }
        for need in entry.needs
    }


def statistic(need: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A statistic as one would be collected: positive numbers like the tensor, or a matrix of second moments."""
    rng = stream("contract statistic", need, name)
    if need != "gram":
        return rng.random(shape) + 0.1
    inputs = rng.normal(size=(64, int(np.prod(shape[1:]))))
    return inputs.T @ inputs / len(inputs)


def require_all_same(found: State, wanted: State, what: str, tolerance: float = 1e-9) -> None:
    require(list(found) == list(wanted), f"{what}: other tensors came back")
    for name in wanted:
        require_same(found[name], wanted[name], f"{what}, tensor '{name}'", tolerance)
