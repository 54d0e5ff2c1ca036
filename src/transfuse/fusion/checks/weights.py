"""The laws of merging weights: without them, a merge that does too little, or quietly the wrong thing, would pass.

Symmetry laws alone bless a method that ignores its inputs, so `listens` and `reference` stand beside them.
"""

from __future__ import annotations

import numpy as np

from transfuse.fusion import weights_lift
from transfuse.fusion.checks.law import Family, distance, quiet, require, require_refused, require_same
from transfuse.fusion.checks.weights_cases import (
    FLOATS,
    STATISTICS,
    State,
    drawn,
    merged,
    one_unit,
    require_all_same,
    scaled,
    several,
    statistic,
    stats_of,
    taken,
    unequal,
)
from transfuse.fusion.contract import Unit
from transfuse.registry import Entry


def pure(entry: Entry) -> None:
    """Sources, base and weights stay as they were, and the result shares no storage with them."""
    states, base, unit = several(entry), drawn("base", wide=False), one_unit(entry, unequal(entry))
    inputs = [array for state in (*states.values(), base) for array in state.values()]
    before = [array.copy() for array in inputs]
    result = merged(entry, states, unequal(entry), base=base)
    require(all(np.array_equal(old, new) for old, new in zip(before, inputs, strict=True)), "an input was changed")
    shared = [name for name, array in result.items() if any(np.shares_memory(array, other) for other in inputs)]
    require(not shared, f"these tensors share storage with an input: {', '.join(shared)}")
    given = [array for array in (unit.x, unit.w, unit.base) if array is not None]
    before = [array.copy() for array in given]
    entry.load().merge(unit)
    require(all(np.array_equal(old, new) for old, new in zip(before, given, strict=True)), "the unit was changed")


def form(entry: Entry) -> None:
    """The result has the sources' names, order, shapes and types; integers are the largest of all sources'."""
    states = several(entry)
    result, first = merged(entry, states, unequal(entry)), states["first"]
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
    states, doubled = several(entry), several(entry)
    for state in doubled.values():
        state.update({name: state[name].astype(np.float64) for name in FLOATS})
    narrow, wide = merged(entry, states, unequal(entry)), merged(entry, doubled, unequal(entry))
    for name in FLOATS:
        rounded = wide[name].astype(narrow[name].dtype)
        require(np.array_equal(narrow[name], rounded), f"'{name}' ({narrow[name].dtype}) is not the rounded exact one")


def overflow(entry: Entry) -> None:
    """Eight sources near the largest half-precision number (or as many as it takes), equal shares, stay finite."""
    largest, count = float(np.finfo(np.float16).max), entry.traits.get("members", 8)
    near = [np.full((3,), largest * share, np.float16) for share in np.linspace(0.9, 0.99, count)]
    states = {f"source{index}": {"half": array} for index, array in enumerate(near)}
    result = merged(entry, states, [1.0 / count] * count, base={"half": near[0]})
    require(bool(np.isfinite(result["half"]).all()), f"got {result['half']}")


def same_for_copies(entry: Entry) -> None:
    """One source, or copies of one with any weights, gives that source back."""
    state = drawn("first", wide=True)
    for weights in taken(entry, (1.0,), (0.3,), unequal(entry), (3.0, -1.0)):
        copies = {f"copy{index}": state for index in range(len(weights))}
        require_all_same(merged(entry, copies, weights), state, f"weights {weights}")


def weight_scale(entry: Entry) -> None:
    """Only the proportions of the weights count: w and 10 w agree."""
    states = several(entry, wide=True)
    tenfold = merged(entry, states, [10 * weight for weight in unequal(entry)])
    require_all_same(tenfold, merged(entry, states, unequal(entry)), "10 w against w")


def permutation(entry: Entry) -> None:
    """Reordering the sources together with their weights changes nothing."""
    states = several(entry, wide=True)
    wanted = merged(entry, states, unequal(entry))
    for order in ((2, 1, 0), (1, 2, 0)) if len(states) == 3 else ((1, 0),):
        names = [list(states)[index] for index in order]
        found = merged(entry, {name: states[name] for name in names}, [unequal(entry)[index] for index in order])
        require_all_same(found, wanted, f"order {order}")


def one_hot(entry: Entry) -> None:
    """Weight 1 on one source and 0 on the others gives that source."""
    states = several(entry, wide=True)
    for index, (name, state) in enumerate(states.items()):
        weights = [float(index == other) for other in range(len(states))]
        require_all_same(merged(entry, states, weights), state, f"all weight on '{name}'")


def _moved(entry: Entry, factor: float, offset: float) -> tuple[State, State]:
    """The merge of moved inputs, and the moved merge of the inputs."""
    states, base = several(entry, wide=True), drawn("base", wide=True)
    there = {name: {key: array * factor + offset for key, array in state.items()} for name, state in states.items()}
    moved_base = {key: array * factor + offset for key, array in base.items()}
    plain = merged(entry, states, unequal(entry), base=base)
    wanted = {key: array * factor + offset for key, array in plain.items()}
    return merged(entry, there, unequal(entry), base=moved_base), wanted


def shift(entry: Entry) -> None:
    """Adding a constant to all inputs adds it to the result."""
    require_all_same(*_moved(entry, 1.0, 0.75), "inputs + 0.75")


def scale(entry: Entry) -> None:
    """Multiplying all inputs by a constant multiplies the result by it."""
    require_all_same(*_moved(entry, 3.0, 0.0), "inputs x 3")


def listens(entry: Entry) -> None:
    """Changing any one source, or the weights, changes the result."""
    states = several(entry, wide=True)
    before = merged(entry, states, unequal(entry))
    for name in states:
        other = {tensor: array + drawn("other", wide=True)[tensor] for tensor, array in states[name].items()}
        require(_differs(merged(entry, {**states, name: other}, unequal(entry)), before), f"'{name}' changes nothing")
    require(_differs(merged(entry, states, unequal(entry)[::-1]), before), "other weights change nothing")


def _differs(found: State, other: State) -> bool:
    return any(distance(found[name], other[name]) > 1e-6 for name in other)


def seeded(entry: Entry) -> None:
    """The same seed gives the same bits again, and no global random state moves."""
    states = several(entry)
    with quiet("merging"):
        once, again = (merged(entry, states, unequal(entry), seed=1) for _ in range(2))
    require(all(np.array_equal(once[name], again[name]) for name in once), "the same seed gave another result")


def another_seed(entry: Entry) -> None:
    """Another seed gives another result."""
    results = [merged(entry, several(entry, wide=True), unequal(entry), seed=seed) for seed in range(3)]
    require(any(_differs(result, results[0]) for result in results[1:]), "three seeds gave one result")


def local(entry: Entry) -> None:
    """Merging tensor by tensor equals merging all at once."""
    states = several(entry)
    together = merged(entry, states, unequal(entry))
    for tensor in together:
        alone = merged(entry, {name: {tensor: state[tensor]} for name, state in states.items()}, unequal(entry))
        require_all_same(alone, {tensor: together[tensor]}, "merged alone")


def base_counts(entry: Entry) -> None:
    """Without its base the method is refused, and another base gives another result."""
    states = several(entry, wide=True)
    require_refused(lambda: weights_lift.merge_states(entry, states), "base", case="no base")
    bases = [drawn(name, wide=True) for name in ("base", "another base")]
    first, second = (weights_lift.merge_states(entry, states, weights=unequal(entry), base=base) for base in bases)
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
        states = several(entry)
        states["second"].pop(tensor, None)
        states["second"] |= {} if bad is None else {tensor: bad}
        require_refused(lambda states=states: merged(entry, states), tensor, "second", case=case)
    zero_sum = [] if scaled(entry) else [(*unequal(entry)[1:], -sum(unequal(entry)[1:]))]
    for weights in (*zero_sum, (1.0,) * 5, (np.nan, *unequal(entry)[1:])):
        require_refused(lambda given=weights: merged(entry, several(entry), given), "weight", case=f"weights {weights}")
    require_refused(lambda: merged(entry, {}), case="no source")
    wrong = {**drawn("base", wide=False), "half": np.full((5, 4), np.inf, np.float16)}
    require_refused(lambda: merged(entry, several(entry), base=wrong), "half", "base", case="infinity in the base")


def statistics_stay(entry: Entry) -> None:
    """Running statistics are averaged, never moved as weights are, and a negative variance is refused by name."""
    both = {
        source: {name: 1.0 + statistic("fisher", f"{source} {name}", shape) for name, shape in STATISTICS.items()}
        for source in several(entry)
    }
    base = {name: np.full(shape, 9.0) for name, shape in STATISTICS.items()}
    weights = [-1.0, *[2.0] * (len(both) - 1)]
    found = merged(entry, both, weights, base=base)
    for name in STATISTICS:
        wanted = np.mean([state[name] for source, state in both.items() if source != "first"], axis=0)
        require_same(found[name], wanted, f"'{name}' with the weights {weights}")
    both["second"]["norm.running_var"] = np.array([1.0, -0.1, 1.0, 1.0])
    require_refused(
        lambda: merged(entry, both, base=base), "norm.running_var", "second", "negative", case="a negative variance"
    )


def needs_count(entry: Entry) -> None:
    """A method that needs statistics is refused without them, and other statistics give another result."""
    if not entry.needs:
        return
    states = several(entry, wide=True)
    require_refused(lambda: merged(entry, states, stats={}), *entry.needs, case="no statistics")
    other = stats_of(entry, {f"other {name}": state for name, state in states.items()})
    turned = {need: {name.removeprefix("other "): of for name, of in found.items()} for need, found in other.items()}
    require(_differs(merged(entry, states, stats=turned), merged(entry, states)), "other statistics change nothing")


def reference(entry: Entry) -> None:
    """The method equals its own `reference`, the law written out slowly."""
    module = entry.load()
    require(callable(getattr(module, "reference", None)), "the file defines no reference(unit)")
    for weights in taken(entry, (2.0,), (1.0, -0.25), (0.1, 0.4, 2.0, 1.5, 0.7)):
        found, wanted = (run(one_unit(entry, weights)) for run in (module.merge, module.reference))
        require_same(found, wanted, f"{len(weights)} sources", 1e-12)


def summed(entry: Entry) -> None:
    """Where the method has coefficients, what the lift adds up with them is what its `merge` gives."""
    module = entry.load()
    if not hasattr(module, "coefficients"):
        return
    for weights in taken(entry, (2.0,), (1.0, -0.25), (0.1, 0.4, 2.0, 1.5, 0.7)):
        unit = one_unit(entry, weights)
        states = {f"source {place}": {unit.name: tensor} for place, tensor in enumerate(unit.x)}
        base = None if unit.base is None else {unit.name: unit.base}
        found = weights_lift.merge_states(entry, states, weights=weights, base=base)
        require_same(found[unit.name], module.merge(unit), f"{len(weights)} sources", 1e-12)


def alike(entry: Entry) -> None:
    """Torch tensors give what numpy arrays give, and the weights receive a gradient."""
    import torch

    unit, twin = one_unit(entry, unequal(entry)), one_unit(entry, unequal(entry))
    weights = torch.tensor(unequal(entry), dtype=torch.float64, requires_grad=True)
    base = None if twin.base is None else torch.from_numpy(twin.base)
    stat = {need: torch.from_numpy(values) for need, values in twin.stat.items()}
    given = Unit("tensor", torch.from_numpy(twin.x), weights, twin.rng, base=base, settings=twin.settings, stat=stat)
    found = entry.load().merge(given)
    require(isinstance(found, torch.Tensor) and found.requires_grad, "the result is no tensor that depends on w")
    require_same(found.detach(), entry.load().merge(unit), "torch against numpy", 1e-12)
    found.square().sum().backward()
    require(weights.grad is not None and bool((weights.grad != 0).any()), "no gradient reaches w")


WEIGHTS = Family(
    always=(
        pure,
        form,
        precise,
        overflow,
        listens,
        seeded,
        refuses,
        statistics_stay,
        needs_count,
        reference,
        summed,
        alike,
    ),
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
    use=lambda entry, settings: merged(entry, several(entry), settings=settings),
    maker="merge",
    given=1,
)
