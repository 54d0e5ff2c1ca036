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
TERMS = "zip(arrays[1:], coefficients[1:], strict=True)"
TAU = "np.subtract(row[part], base[part], out=tau, dtype=np.float64)"
TERM = "np.multiply(array[part], share, out=one, dtype=np.float64)"
SUM = "weighted(share, unit.x)"
RETURN = f"return {SUM}"
SLOW = """    for index in range(len(unit.w)):
        total = total + unit.w[index] * unit.x[index]
    return total / float(sum(unit.w))"""

# The lift sums up what has coefficients by itself; without them it asks `merge`, as of most methods.
PLAIN = (("def coefficients", "def _coefficients"),)
# Two more sound methods, because a mean has no base and draws nothing.
DELTA = (
    *PLAIN,
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
    *PLAIN,
    (RETURN, DROPPING.format(sum=SUM)),
    ("def reference(unit: Unit) -> Any:", "def reference(unit: Unit) -> Any:\n    return merge(unit)"),
    ('"symmetric": True', '"symmetric": False'),
    ('"stochastic": False', '"stochastic": True'),
)
SOUND = {"weights/mean": (), "plain": PLAIN, "delta": DELTA, "noisy": NOISY}


def of_mean(name: str, law: str, *changes: tuple[str, str]) -> Fault:
    return Fault(name, MEAN, law, (*PLAIN, *changes))


def of_lift(name: str, law: str, *changes: tuple[str, str], method: str = "plain") -> Fault:
    return Fault(name, LIFT, law, changes, method)


def of_sum(name: str, law: str, *changes: tuple[str, str], method: str = "weights/mean") -> Fault:
    return Fault(name, LIFT, law, changes, method)


def of_preflight(name: str, law: str, *changes: tuple[str, str]) -> Fault:
    return Fault(name, "fusion/preflight.py", law, changes)


def of_buffers(name: str, law: str, *changes: tuple[str, str]) -> Fault:
    return Fault(name, "fusion/buffers.py", law, changes)


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
    of_mean("forgets the last source", "listens", (RETURN, "return weighted(share[:-1], unit.x[:-1])")),
    of_mean("negative weights cut off", "reference", (SHARE, "w = unit.w * (unit.w > 0)\n    share = w / w.sum()")),
    of_mean(
        "sums in float32",
        "reference",
        (RETURN, 'return sum((share[k] * unit.x[k]).astype("float32") for k in range(len(share)))'),
    ),
    Fault(
        "other coefficients than the merge's",
        MEAN,
        "summed",
        (("    return unit.w / unit.w.sum()", "    return (unit.w + 1e-6) / (unit.w + 1e-6).sum()"),),
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

CAST = "room[part] = narrow(found.reshape(-1))"
INTEGERS = "integers(name, list(work.members.values()), work.buffers)"
WIDE = "np.copyto(room, values)"
ROOM = "room = np.empty((len(self.every), min(step, size)), np.float32 if narrow else np.float64)"
NO_WEIGHT = "if what_is_no_weight(name, work.first.names()):"
EMPTY = "merged = {name: np.empty(array.shape, array.dtype) for name, array in first.items()}"
STREAM = 'rng=_Later(self.seed, "merge", name, begin // step)'
BASE = "base=None if start is None else room[-1, :count].reshape(form)"
MADE = "return Job(entry, members, base,"
FINITE = "if not np.isfinite(total) and not np.isfinite(values).all():"
SHAPES = "if found != wanted:"
SUM_ZERO = 'if abs(values.sum()) < 1e-12 and entry.traits.get("weights") != "scales":'
COUNT = "if values.shape != (count,) or not np.isfinite(values).all():"

IN_LIFT = [
    of_lift(
        "in place on the first source", "pure", (CAST, f"{CAST}\n        work.first.read(name).reshape(-1)[part] = 0")
    ),
    of_lift("integers of the first source", "form", (INTEGERS, "work.first.read(name).reshape(-1)")),
    of_lift("names sorted", "form", (EMPTY, EMPTY.replace("first.items()", "sorted(first.items())"))),
    of_lift("last tensor dropped", "form", ("    return merged\n", "    merged.popitem()\n    return merged\n")),
    of_lift("not cast back", "form", (EMPTY, EMPTY.replace("array.dtype", "np.float64"))),
    of_lift(
        "sums in the stored precision",
        "precise",
        (ROOM, f"{ROOM}.astype(next(iter(arrays.values())).dtype)"),
        ("w=self.weights.copy()", "w=self.weights.astype(arrays[next(iter(arrays))].dtype)"),
    ),
    of_lift(
        "scaled up in half precision",
        "overflow",
        (WIDE, "np.copyto(room, (values * values.dtype.type(4)).astype(np.float64) / 4)"),
    ),
    of_lift(
        "order from a set",
        "one_hot",
        (MADE, MADE.replace("members, base", "dict(sorted(members.items(), key=str, reverse=True)), base")),
    ),
    Fault(
        "changes in the stored precision",
        "fusion/weights/dare.py",
        "precise",
        ((TAU, "tau[...] = row[part] - base[part]"),),
    ),
    of_lift(
        "float32 for a method that does not widen it",
        "precise",
        ('self.entry.traits.get("float32") and ', ""),
        method="delta",
    ),
    of_sum("a term lost", "listens", (TERMS, TERMS.replace("1:", "2:"))),
    of_sum("terms in the stored precision", "precise", (TERM, "one[...] = array[part] * array.dtype.type(share)")),
    of_sum(
        "terms without their shares", "one_hot", ("np.add(sums, one, out=sums)", "np.add(sums, array[part], out=sums)")
    ),
    of_sum(
        "NaN of nobody in a sum",
        "refuses",
        ("                _require_finite(array[part], (name, source))\n", "                pass\n"),
    ),
    of_sum(
        "a base not looked at",
        "refuses",
        (
            "coefficients = np.append(coefficients, np.zeros(len(arrays) - len(coefficients)))",
            "arrays = arrays[: len(coefficients)]",
        ),
    ),
    of_sum(
        "no base in a sum",
        "base_counts",
        (TERMS, "zip(arrays[1 : len(work.members)], coefficients[1 : len(work.members)], strict=True)"),
        method="weights/task_arithmetic",
    ),
    of_lift("weights lost", "listens", ("w=self.weights.copy()", "w=np.ones_like(self.weights)")),
    of_lift("no check before work", "refuses", ("    check(members, base)\n", "")),
    of_preflight("missing tensors unnoticed", "refuses", ("for name in sorted(there - here)]", "for name in []]")),
    of_preflight("broadcasting", "refuses", (SHAPES, "if len(found) != len(wanted):")),
    of_buffers("integers averaged", "form", ("rows.max(axis=0)", "rows.mean(axis=0)")),
    of_buffers("task vectors of variances", "statistics_stay", ("share = np.maximum(weights, 0.0)", "share = weights")),
    of_buffers("negative variances pass", "statistics_stay", ("if name.endswith(VARIANCE) and", "if False and")),
    of_lift("statistics taken for weights", "statistics_stay", (NO_WEIGHT, "if False:")),
    of_lift(
        "statistics not asked for",
        "needs_count",
        ("if lacking := [", "if lacking := [] and ["),
        ("stats or {}).get(need, {})", "stats or {}).get(need) or dict.fromkeys(members, {})"),
        method="weights/fisher",
    ),
    of_lift("NaN hidden", "refuses", (FINITE, "if False:")),
    of_lift(
        "NaN without the source's name", "refuses", ("tensor '{name}' of '{source}' holds NaN", "a tensor holds NaN")
    ),
    of_lift("zero-sum weights", "refuses", (SUM_ZERO, "if False:")),
    of_lift("miscounted weights", "refuses", (COUNT, "values = np.resize(values, count)\n    if False:")),
    of_lift("nothing merged is fine", "refuses", ("if not members:", "if not members and base is not None:")),
    of_lift("settings unchecked", "refuses_settings", ("entry.settings(settings or {})", "dict(settings or {})")),
    of_lift("draws without a seed", "seeded", (STREAM, "rng=np.random.default_rng()"), method="noisy"),
    of_lift(
        "one stream for all tensors",
        "local",
        (STREAM, "rng=SHARED"),
        ("PIECE =", 'SHARED = stream(0, "m")\nPIECE ='),
        method="noisy",
    ),
    of_lift(
        "base forgotten",
        "base_counts",
        (BASE, "base=room[0, :count].reshape(form)"),
        method="delta",
    ),
    of_lift(
        "base not asked for",
        "base_counts",
        ('if entry.traits.get("needs_base") and base is None:', "if False:"),
        method="delta",
    ),
]
