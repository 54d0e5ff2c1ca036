"""The laws of merging weights: without them, a merge that does too little, or quietly the wrong thing, would pass.

Symmetry laws alone bless a method that ignores its inputs, so `listens` and `reference` stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transfuse.fusion import weights_lift
from transfuse.fusion.checks.law import Family, distance, quiet, require, require_refused, require_same
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
FLOATS = [name for name, (_, dtype) in TENSORS.items() if dtype.startswith("float")]
UNEQUAL = (0.5, 2.0, 1.0)


def _state(name: str, *, wide: bool) -> State:
    rng = stream("contract", name)
    drawn = {
        tensor: np.asarray(rng.normal(size=shape) if dtype.startswith("float") else rng.integers(1, 99, shape), dtype)
        for tensor, (shape, dtype) in TENSORS.items()
    }
    return {tensor: drawn[tensor].astype(np.float64) for tensor in FLOATS} if wide else drawn


def _states(entry: Entry, *, wide: bool = False) -> dict[str, State]:
    """Three sources, or as many as the method takes; `wide` leaves float64 tensors only, so that algebra is exact."""
    names = ("first", "second", "third")[: entry.traits.get("members", 3)]
    return {name: _state(name, wide=wide) for name in names}


def _unequal(entry: Entry) -> tuple[float, ...]:
    """A weight for each of them."""
    return UNEQUAL[: entry.traits.get("members", 3)]


def _taken(entry: Entry, *cases: tuple[float, ...]) -> list[tuple[float, ...]]:
    """Those weights whose number the method takes."""
    wanted = entry.traits.get("members")
    return [weights for weights in cases if wanted in (None, len(weights))]


def _scaled(entry: Entry) -> bool:
    """Whether weights multiply what is added, rather than being shares of a whole."""
    return entry.traits.get("weights") == "scales"


def _merged(entry: Entry, states: Mapping[str, State], weights: Sequence[float] | None = None, **more: Any) -> State:
    base = more.pop("base", None)
    if base is None and entry.traits.get("needs_base") and states:
        first = next(iter(states.values()))
        drawn = _state("base", wide=False)
        base = {tensor: drawn[tensor].astype(first[tensor].dtype) for tensor in first if tensor in drawn}
    return weights_lift.merge_states(entry, states, weights=weights, base=base, **more)


def _unit(entry: Entry, weights: Sequence[float]) -> Unit:
    count = len(weights)
    rng = stream("contract unit", count)
    return Unit(
        name="tensor",
        x=rng.normal(size=(count, 5, 3)),
        w=np.array(weights, dtype=np.float64),
        rng=stream("contract draws", count),
        base=rng.normal(size=(5, 3)) if entry.traits.get("needs_base") else None,
        settings=entry.settings({}),
    )


def _require_all_same(found: State, wanted: State, what: str, tolerance: float = 1e-9) -> None:
    require(list(found) == list(wanted), f"{what}: other tensors came back")
    for name in wanted:
        require_same(found[name], wanted[name], f"{what}, tensor '{name}'", tolerance)


def pure(entry: Entry) -> None:
    """Sources, base and weights stay as they were, and the result shares no storage with them."""
    states, base, unit = _states(entry), _state("base", wide=False), _unit(entry, _unequal(entry))
    inputs = [array for state in (*states.values(), base) for array in state.values()]
    before = [array.copy() for array in inputs]
    result = _merged(entry, states, _unequal(entry), base=base)
    require(all(np.array_equal(old, new) for old, new in zip(before, inputs, strict=True)), "an input was changed")
    shared = [name for name, array in result.items() if any(np.shares_memory(array, other) for other in inputs)]
    require(not shared, f"these tensors share storage with an input: {', '.join(shared)}")
    given = [array for array in (unit.x, unit.w, unit.base) if array is not None]
    before = [array.copy() for array in given]
    entry.load().merge(unit)
    require(all(np.array_equal(old, new) for old, new in zip(before, given, strict=True)), "the unit was changed")


def form(entry: Entry) -> None:
    """The result has the sources' names, order, shapes and types; integers are the largest of all sources'."""
    states = _states(entry)
    result, first = _merged(entry, states, _unequal(entry)), states["first"]
    require(list(result) == list(first), f"tensors {list(result)}, expected {list(first)}")
    for name, array in first.items():
        found = result[name]
        require(isinstance(found, np.ndarray), f"'{name}' is no array")
        require((found.shape, found.dtype) == (array.shape, array.dtype), f"'{name}' is {found.dtype} {found.shape}")
        if name not in FLOATS:
            largest = np.max([state[name] for state in states.values()], axis=0)
            require(np.array_equal(found, largest), f"'{name}' is {found}, the largest is {largest}")


def precise(entry: Entry) -> None:
    """A result in low precision is the float64 result, rounded once."""
    states, doubled = _states(entry), _states(entry)
    for state in doubled.values():
        state.update({name: state[name].astype(np.float64) for name in FLOATS})
    narrow, wide = _merged(entry, states, _unequal(entry)), _merged(entry, doubled, _unequal(entry))
    for name in FLOATS:
        rounded = wide[name].astype(narrow[name].dtype)
        require(np.array_equal(narrow[name], rounded), f"'{name}' ({narrow[name].dtype}) is not the rounded exact one")


def overflow(entry: Entry) -> None:
    """Eight sources near the largest half-precision number (or as many as it takes), equal shares, stay finite."""
    largest, count = float(np.finfo(np.float16).max), entry.traits.get("members", 8)
    near = [np.full((3,), largest * share, np.float16) for share in np.linspace(0.9, 0.99, count)]
    states = {f"source{index}": {"half": array} for index, array in enumerate(near)}
    result = _merged(entry, states, [1.0 / count] * count, base={"half": near[0]})
    require(bool(np.isfinite(result["half"]).all()), f"got {result['half']}")


def same_for_copies(entry: Entry) -> None:
    """One source, or copies of one with any weights, gives that source back."""
    state = _state("first", wide=True)
    for weights in _taken(entry, (1.0,), (0.3,), _unequal(entry), (3.0, -1.0)):
        copies = {f"copy{index}": state for index in range(len(weights))}
        _require_all_same(_merged(entry, copies, weights), state, f"weights {weights}")


def weight_scale(entry: Entry) -> None:
    """Only the proportions of the weights count: w and 10 w agree."""
    states = _states(entry, wide=True)
    tenfold = _merged(entry, states, [10 * weight for weight in _unequal(entry)])
    _require_all_same(tenfold, _merged(entry, states, _unequal(entry)), "10 w against w")


def permutation(entry: Entry) -> None:
    """Reordering the sources together with their weights changes nothing."""
    states = _states(entry, wide=True)
    wanted = _merged(entry, states, _unequal(entry))
    for order in ((2, 1, 0), (1, 2, 0)) if len(states) == 3 else ((1, 0),):
        names = [list(states)[index] for index in order]
        found = _merged(entry, {name: states[name] for name in names}, [_unequal(entry)[index] for index in order])
        _require_all_same(found, wanted, f"order {order}")


def one_hot(entry: Entry) -> None:
    """Weight 1 on one source and 0 on the others gives that source."""
    states = _states(entry, wide=True)
    for index, (name, state) in enumerate(states.items()):
        weights = [float(index == other) for other in range(len(states))]
        _require_all_same(_merged(entry, states, weights), state, f"all weight on '{name}'")


def _moved(entry: Entry, factor: float, offset: float) -> tuple[State, State]:
    """The merge of moved inputs, and the moved merge of the inputs."""
    states, base = _states(entry, wide=True), _state("base", wide=True)
    there = {name: {key: array * factor + offset for key, array in state.items()} for name, state in states.items()}
    moved_base = {key: array * factor + offset for key, array in base.items()}
    plain = _merged(entry, states, _unequal(entry), base=base)
    wanted = {key: array * factor + offset for key, array in plain.items()}
    return _merged(entry, there, _unequal(entry), base=moved_base), wanted


def shift(entry: Entry) -> None:
    """Adding a constant to all inputs adds it to the result."""
    _require_all_same(*_moved(entry, 1.0, 0.75), "inputs + 0.75")


def scale(entry: Entry) -> None:
    """Multiplying all inputs by a constant multiplies the result by it."""
    _require_all_same(*_moved(entry, 3.0, 0.0), "inputs x 3")


def listens(entry: Entry) -> None:
    """Changing any one source, or the weights, changes the result."""
    states = _states(entry, wide=True)
    before = _merged(entry, states, _unequal(entry))
    for name in states:
        other = {tensor: array + _state("other", wide=True)[tensor] for tensor, array in states[name].items()}
        require(_differs(_merged(entry, {**states, name: other}, _unequal(entry)), before), f"'{name}' changes nothing")
    require(_differs(_merged(entry, states, _unequal(entry)[::-1]), before), "other weights change nothing")


def _differs(found: State, other: State) -> bool:
    return any(distance(found[name], other[name]) > 1e-6 for name in other)


def seeded(entry: Entry) -> None:
    """The same seed gives the same bits again, and no global random state moves."""
    states = _states(entry)
    with quiet("merging"):
        once, again = (_merged(entry, states, _unequal(entry), seed=1) for _ in range(2))
    require(all(np.array_equal(once[name], again[name]) for name in once), "the same seed gave another result")


def another_seed(entry: Entry) -> None:
    """Another seed gives another result."""
    results = [_merged(entry, _states(entry, wide=True), _unequal(entry), seed=seed) for seed in range(3)]
    require(any(_differs(result, results[0]) for result in results[1:]), "three seeds gave one result")


def local(entry: Entry) -> None:
    """Merging tensor by tensor equals merging all at once."""
    states = _states(entry)
    together = _merged(entry, states, _unequal(entry))
    for tensor in together:
        alone = _merged(entry, {name: {tensor: state[tensor]} for name, state in states.items()}, _unequal(entry))
        _require_all_same(alone, {tensor: together[tensor]}, "merged alone")


def base_counts(entry: Entry) -> None:
    """Without its base the method is refused, and another base gives another result."""
    states = _states(entry, wide=True)
    require_refused(lambda: weights_lift.merge_states(entry, states), "base", case="no base")
    bases = [_state(name, wide=True) for name in ("base", "another base")]
    first, second = (weights_lift.merge_states(entry, states, weights=_unequal(entry), base=base) for base in bases)
    require(_differs(first, second), "another base changes nothing")


def refuses(entry: Entry) -> None:
    """What cannot be merged is refused before any work, naming the tensor and the source."""
    for tensor, bad, case in (
        ("conv.weight", None, "a missing tensor"),
        ("conv.weight", np.zeros((3, 4, 3, 3), np.float32), "a wrong shape"),
        ("norm.bias", np.zeros((1,), np.float32), "a shape that would broadcast"),
        ("half", np.full((5, 4), np.nan, np.float16), "NaN"),
        ("scale", np.asarray(np.inf, np.float32), "infinity"),
        ("position_ids", np.zeros((6,), np.float32), "floats where the others have integers"),
        ("unheard_of", np.zeros((2,), np.float32), "a tensor nobody else has"),
    ):
        states = _states(entry)
        states["second"].pop(tensor, None)
        states["second"] |= {} if bad is None else {tensor: bad}
        require_refused(lambda states=states: _merged(entry, states), tensor, "second", case=case)
    zero_sum = [] if _scaled(entry) else [(*_unequal(entry)[1:], -sum(_unequal(entry)[1:]))]
    for weights in (*zero_sum, (1.0,) * 5, (np.nan, *_unequal(entry)[1:])):
        require_refused(
            lambda given=weights: _merged(entry, _states(entry), given), "weight", case=f"weights {weights}"
        )
    require_refused(lambda: _merged(entry, {}), case="no source")
    wrong = {**_state("base", wide=False), "half": np.full((5, 4), np.inf, np.float16)}
    require_refused(lambda: _merged(entry, _states(entry), base=wrong), "half", "base", case="infinity in the base")


def reference(entry: Entry) -> None:
    """The method equals its own `reference`, the law written out slowly."""
    module = entry.load()
    require(callable(getattr(module, "reference", None)), "the file defines no reference(unit)")
    for weights in _taken(entry, (2.0,), (1.0, -0.25), (0.1, 0.4, 2.0, 1.5, 0.7)):
        found, wanted = (run(_unit(entry, weights)) for run in (module.merge, module.reference))
        require_same(found, wanted, f"{len(weights)} sources", 1e-12)


def alike(entry: Entry) -> None:
    """Torch tensors give what numpy arrays give, and the weights receive a gradient."""
    import torch

    unit, twin = _unit(entry, _unequal(entry)), _unit(entry, _unequal(entry))
    weights = torch.tensor(_unequal(entry), dtype=torch.float64, requires_grad=True)
    base = None if twin.base is None else torch.from_numpy(twin.base)
    given = Unit("tensor", torch.from_numpy(twin.x), weights, twin.rng, base=base, settings=twin.settings)
    found = entry.load().merge(given)
    require(isinstance(found, torch.Tensor) and found.requires_grad, "the result is no tensor that depends on w")
    require_same(found.detach(), entry.load().merge(unit), "torch against numpy", 1e-12)
    found.square().sum().backward()
    require(weights.grad is not None and bool((weights.grad != 0).any()), "no gradient reaches w")


WEIGHTS = Family(
    always=(pure, form, precise, overflow, listens, seeded, refuses, reference, alike),
    by_trait={
        "idempotent": (same_for_copies, weight_scale),
        "symmetric": (permutation,),
        "one_hot": (one_hot,),
        "shift": (shift,),
        "scale": (scale,),
        "per_tensor": (local,),
        "stochastic": (another_seed,),
        "needs_base": (base_counts,),
    },
    two_sided=frozenset({"idempotent", "symmetric", "one_hot", "shift", "scale", "stochastic", "needs_base"}),
    use=lambda entry, settings: _merged(entry, _states(entry), settings=settings),
    maker="merge",
    given=1,
)
