"""Faults of merging weights: changes of the text of a method or of the lift, each with the law that must catch it."""

from __future__ import annotations

from dataclasses import dataclass

LIFT = "fusion/weights_lift.py"
MEAN = "fusion/weights/mean.py"


@dataclass(frozen=True)
class Fault:
    """`changes` turn the text of `file` into a faulty one; `law` is the check that must then fail on `method`.

    `method` is FAMILY/NAME, or the text changes that make a sound method of its own out of weights/mean.
    """

    name: str
    file: str
    law: str
    changes: tuple[tuple[str, str], ...]
    method: str = "weights/mean"


SHARE = "share = unit.w / unit.w.sum()"
SUM = "sum(share[index] * unit.x[index] for index in range(len(share)))"
RETURN = f"return {SUM}"
SLOW = """    for index in range(len(unit.w)):
        total = total + unit.w[index] * unit.x[index]
    return total / float(sum(unit.w))"""

# Two more sound methods, because a mean has no base and draws nothing.
DELTA = (
    (RETURN, "return unit.base + sum(unit.w[index] * (unit.x[index] - unit.base) for index in range(len(share)))"),
    (SLOW, SLOW.replace("total / float(sum(unit.w))", "total + unit.base * (1 - float(sum(unit.w)))")),
    ('"idempotent": True', '"idempotent": False'),
    ('"needs_base": False', '"needs_base": True'),
)
DROPPING = """mean = {sum}
    masks = unit.rng.integers(0, 2, tuple(unit.x.shape))
    masks = unit.w.new_tensor(masks) if hasattr(unit.w, "new_tensor") else masks
    return mean + sum(share[index] * masks[index] * (unit.x[index] - mean) for index in range(len(share)))"""
NOISY = (
    (RETURN, DROPPING.format(sum=SUM)),
    ("def reference(unit: Unit) -> Any:", "def reference(unit: Unit) -> Any:\n    return merge(unit)"),
    ('"symmetric": True', '"symmetric": False'),
    ('"stochastic": False', '"stochastic": True'),
)
SOUND = {"weights/mean": (), "delta": DELTA, "noisy": NOISY}


def of_mean(name: str, law: str, *changes: tuple[str, str]) -> Fault:
    return Fault(name, MEAN, law, changes)


def of_lift(name: str, law: str, *changes: tuple[str, str], method: str = "weights/mean") -> Fault:
    return Fault(name, LIFT, law, changes, method)


BAD_DEFAULT = '{"type": "float", "default": 0.0, "low": 1.0, "doc": "some power"}'
NORM = "mean * (unit.x[0] ** 2).sum() / (mean**2).sum()"
IN_METHODS = [
    of_mean("weights ignored", "listens", (SHARE, "share = unit.w * 0 + 1 / len(unit.w)")),
    of_mean(
        "weights reversed", "one_hot", (SHARE, "share = [unit.w[-1 - k] / unit.w.sum() for k in range(len(unit.w))]")
    ),
    of_mean(
        "softmax of the weights", "weight_scale", (SHARE, "share = 2.718281828**unit.w / (2.718281828**unit.w).sum()")
    ),
    of_mean("forgotten division", "same_for_copies", (SHARE, "share = unit.w")),
    of_mean(
        "first source counts twice",
        "permutation",
        (SHARE, "share = [w / (unit.w.sum() + unit.w[0]) for w in unit.w]"),
        (RETURN, f"return {SUM} + share[0] * unit.x[0]"),
    ),
    of_mean("returns the first source", "listens", (RETURN, "return unit.x[0] + 0 * share[0]")),
    of_mean(
        "forgets the last source", "listens", ("for index in range(len(share)))", "for index in range(len(share) - 1))")
    ),
    of_mean("negative weights cut off", "reference", (SHARE, "w = unit.w * (unit.w > 0)\n    share = w / w.sum()")),
    of_mean(
        "sums in float32",
        "reference",
        (RETURN, 'return sum((share[k] * unit.x[k]).astype("float32") for k in range(len(share)))'),
    ),
    of_mean("no slow law", "reference", ("def reference", "def slow")),
    of_mean("in place on the unit", "pure", (RETURN, f"merged = {SUM}\n    unit.x[0] = merged\n    return merged")),
    of_mean("in place on the weights", "pure", (SHARE, "share = unit.w\n    share /= unit.w.sum()")),
    of_mean("extra axis", "form", (RETURN, f"return ({SUM})[None]")),
    of_mean("norm of the first source", "shift", (RETURN, f"mean = {SUM}\n    return {NORM}")),
    of_mean("clipped", "scale", (RETURN, f"return ({SUM}).clip(-1, 1)")),
    of_mean(
        "remembers earlier tensors",
        "local",
        ("def merge", "_SEEN: list[str] = []\n\n\ndef merge"),
        (RETURN, f"_SEEN.append(unit.name)\n    return {SUM} + 0.001 * len(_SEEN)"),
    ),
    of_mean("numpy only", "alike", (RETURN, f"import numpy\n\n    return numpy.asarray({SUM})")),
    of_mean(
        "gradient cut",
        "alike",
        (RETURN, f'merged = {SUM}\n    return merged.detach() if hasattr(merged, "detach") else merged'),
    ),
    of_mean("draws, but says it does not", "honest", (RETURN, f"return {SUM} * (1 + 0.01 * unit.rng.random())")),
    of_mean(
        "draws from the global state", "seeded", (RETURN, f"import random\n\n    random.random()\n    return {SUM}")
    ),
    of_mean(
        "seeds the global state at import",
        "quiet_import",
        ("CITATION =", "import random\n\nrandom.seed(0)\nCITATION ="),
    ),
    of_mean("lazy opt-out", "honest", ('"symmetric": True', '"symmetric": False')),
    of_mean("trait left out", "honest", ('    "shift": True,\n', "")),
    of_mean("claims to draw", "another_seed", ('"stochastic": False', '"stochastic": True')),
    of_mean("claims a base", "base_counts", ('"needs_base": False', '"needs_base": True')),
    of_mean("another trait at run time", "literals", ("def merge", 'TRAITS["scale"] = False\n\n\ndef merge')),
    of_mean("no citation", "described", ('"Wortsman et al., Model soups, ICML 2022"', '""')),
    of_mean(
        "takes what it does not declare",
        "parameters",
        ("def merge(unit: Unit)", "def merge(unit: Unit, power: float = 1.0)"),
    ),
    of_mean("a default outside its range", "parameters", ("Any]] = {}", f'Any]] = {{"power": {BAD_DEFAULT}}}')),
]

CAST = "merged[name] = _cast(np.array(module.merge(unit(name, whole)), dtype=np.float64), name, example, entry)"
LARGEST = "np.asarray(np.max(np.stack([member[name] for member in members]), axis=0))"
WIDE = "x=np.stack([tensor.astype(np.float64) for tensor in tensors])"
STREAM = 'rng=stream(seed, "merge", name)'
BASE = "base=None if base is None else base[name].astype(np.float64)"
MEMBERS = "members = list(states.values())"
FINITE = "if floats and not np.isfinite(found).all():"
SHAPES = "if found.shape != wanted.shape:"
SUM_ZERO = 'if abs(values.sum()) < 1e-12 and entry.traits.get("weights") != "scales":'
COUNT = "if values.shape != (count,) or not np.isfinite(values).all():"

IN_LIFT = [
    of_lift(
        "in place on the first source", "pure", (CAST, f"{CAST}\n            members[0][name][...] = merged[name]")
    ),
    of_lift("integers share storage", "pure", (LARGEST, "max([member[name] for member in members], key=np.max)")),
    of_lift("integers averaged", "form", (LARGEST, "np.mean(np.stack([member[name] for member in members]), axis=0)")),
    of_lift(
        "integers averaged and cast",
        "form",
        (LARGEST, "np.mean(np.stack([member[name] for member in members]), axis=0).astype(example.dtype)"),
    ),
    of_lift("names sorted", "form", ("in members[0].items():", "in sorted(members[0].items()):")),
    of_lift("last tensor dropped", "form", ("in members[0].items():", "in list(members[0].items())[:-1]:")),
    of_lift("not cast back", "form", (CAST, "merged[name] = np.array(module.merge(unit(name, whole)))")),
    of_lift(
        "sums in the stored precision",
        "precise",
        (WIDE, "x=np.stack(tensors)"),
        ("w=values.copy()", "w=values.astype(tensors[0].dtype)"),
    ),
    of_lift(
        "scaled up in half precision",
        "overflow",
        (WIDE, WIDE.replace("tensor.astype(np.float64)", "(tensor * tensor.dtype.type(4)).astype(np.float64) / 4")),
    ),
    of_lift(
        "order from a set",
        "one_hot",
        (MEMBERS, "members = [states[name] for name in sorted(set(states), reverse=True)]"),
    ),
    of_lift("weights lost", "listens", ("w=values.copy()", "w=np.ones_like(values)")),
    of_lift("no check before work", "refuses", ("    check(states, base)\n", "")),
    of_lift(
        "missing tensors skipped",
        "refuses",
        ("for name in sorted(set(first) - set(state))]", "for name in []]"),
        (
            "tensors = [member[name] for member in members]",
            "tensors = [member[name] for member in members if name in member]",
        ),
    ),
    of_lift(
        "broadcasting",
        "refuses",
        (SHAPES, "if found.size > wanted.size:"),
        (WIDE, WIDE.replace("[", "np.broadcast_arrays(*[") + ")"),
    ),
    of_lift("NaN hidden", "refuses", (FINITE, "if False:"), (WIDE, f"x=np.nan_to_num({WIDE[2:]})")),
    of_lift("NaN without the source's name", "refuses", (FINITE, "if False:")),
    of_lift("zero-sum weights", "refuses", (SUM_ZERO, "if False:")),
    of_lift("miscounted weights", "refuses", (COUNT, "values = np.resize(values, count)\n    if False:")),
    of_lift("nothing merged is fine", "refuses", ("if not states:", "if not states and base is not None:")),
    of_lift("settings unchecked", "refuses_settings", ("entry.settings(settings or {})", "dict(settings or {})")),
    of_lift("draws without a seed", "seeded", (STREAM, "rng=np.random.default_rng()"), method="noisy"),
    of_lift(
        "one stream for all tensors",
        "local",
        (MEMBERS, f'{MEMBERS}\n    shared = stream(seed, "merge")'),
        (STREAM, "rng=shared"),
        method="noisy",
    ),
    of_lift("base forgotten", "base_counts", (BASE, "base=members[0][name].astype(np.float64)"), method="delta"),
    of_lift(
        "base not asked for",
        "base_counts",
        ('if entry.traits.get("needs_base") and base is None:', "if False:"),
        method="delta",
    ),
]
