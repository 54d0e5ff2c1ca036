"""The same merges by other programs, each in an environment of its own: without it speed would be told of ours alone.

python3 -m venv /tmp/peers && /tmp/peers/bin/pip install mergekit==0.1.5 peft             PEERS=/tmp/peers/bin
python3 -m venv /tmp/fusion && /tmp/fusion/bin/pip install fusion-bench==0.2.33     FUSION_BENCH=/tmp/fusion/bin
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

DENSITY = 0.2
BASED = ("task_arithmetic", "dare", "ties")
THEIRS = {"mean": "linear", "dare": "dare_linear"}
# What our TIES is asked for beside each, so that both compute the same.
TIES = {
    "mergekit": {"trim_scope": "tensor", "kept": "one", "election_weights": "true", "divisor": "weights"},
    "fusion-bench": {"kept": "threshold", "undecided": "majority"},
}
FUSION_BENCH = """
import sys
from fusion_bench import method as methods
from fusion_bench.modelpool import CausalLMPool
name, density, out, *given = sys.argv[1:]
asked = {
    "mean": lambda: methods.SimpleAverageAlgorithm(),
    "slerp": lambda: methods.SlerpMergeAlgorithm(t=0.5),
    "task_arithmetic": lambda: methods.TaskArithmeticAlgorithm(scaling_factor=1.0),
    "dare": lambda: methods.DareTaskArithmetic(1.0, sparsity_ratio=1 - float(density), only_on_linear_weights=False),
    "ties": lambda: methods.TiesMergingAlgorithm(1.0, 100 * float(density), remove_keys=[], merge_func="mean"),
}[name]()
models = {one.rsplit("/", 1)[1]: one for one in given}
if "base" in models:
    models = {"_pretrained_": models.pop("base"), **models}
asked.run(CausalLMPool(models, tokenizer=None)).save_pretrained(out)
"""


def read(method: str) -> tuple[str, ...]:
    """The files that a merge reads."""
    return ("a", "b") if method == "slerp" else (*(("base",) if method in BASED else ()), "a", "b", "c")


def command(peer: str, method: str, root: Path) -> list[str] | None:
    """How the peer is asked for this merge of `root`'s folders into `root/theirs`; None where it is not at hand."""
    place = os.environ.get({"mergekit": "PEERS", "fusion-bench": "FUSION_BENCH"}[peer])
    if not place:
        return None
    if peer == "fusion-bench":
        given = [str(root / name) for name in read(method)]
        return [f"{place}/python", "-c", FUSION_BENCH, method, str(DENSITY), str(root / "theirs"), *given]
    path = root / f"{method}.yaml"
    path.write_text(json.dumps(_config(method, root)), encoding="utf-8")
    return [f"{place}/mergekit-yaml", str(path), str(root / "theirs"), "--no-copy-tokenizer"]


def _config(method: str, root: Path) -> dict[str, object]:
    """mergekit's YAML, which is JSON too."""
    if method == "slerp":
        models = [{"model": str(root / each)} for each in "ab"]
        return {"merge_method": "slerp", "models": models, "base_model": str(root / "a"), "parameters": {"t": 0.5}}
    own = {"weight": 1.0} | ({"density": DENSITY} if method in ("dare", "ties") else {})
    models = [{"model": str(root / each), "parameters": own} for each in "abc"]
    config: dict[str, object] = {"merge_method": THEIRS.get(method, method), "models": models, "dtype": "float32"}
    return config | ({"base_model": str(root / "base")} if method in BASED else {})


def compared(method: str, root: Path, peer: str) -> str:
    """How far the two outputs are apart, relative to the largest number; of DARE, whose draws differ, the moments."""
    ours, theirs = ({k: v for p in sorted((root / n).glob("*.safetensors")) for k, v in load_file(p).items()}
                    for n in ("ours", "theirs"))  # fmt: skip
    assert ours.keys() == theirs.keys()
    if method == "dare":
        base = load_file(root / "base" / "model.safetensors")
        moved = [{name: state[name] - base[name] for name in ("lm_head.weight",)} for state in (ours, theirs)]
        told = [(float(np.mean(one["lm_head.weight"] != 0)), float(one["lm_head.weight"].std())) for one in moved]
        return "; ".join(f"{name} change {kept:.4f} of the entries, deviation {spread:.6f}"
                         for name, (kept, spread) in zip(("ours", "theirs"), told, strict=True))  # fmt: skip
    apart = [np.abs(ours[name] - theirs[name]) for name in ours]
    worst = max(float(gap.max()) / float(np.abs(theirs[name]).max()) for gap, name in zip(apart, ours, strict=True))
    moved_entries = sum(
        int((gap > 1e-5 * np.abs(theirs[name]).max()).sum()) for gap, name in zip(apart, ours, strict=True)
    )
    if worst <= 1e-5:
        return f"equal to {worst:.1e}"
    if method == "ties":
        return _but_for_ties(ours, theirs, root, whole=peer == "fusion-bench")
    return f"differ by {worst:.1e} in {moved_entries} entries"


def _but_for_ties(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], root: Path, whole: bool) -> str:
    """Outputs of TIES where some entry is as large as the last one kept: which of equal ones stays is free.

    Equal ones are looked for in float32, in which the peers take the differences; the last one kept is that of the
    `whole` network, or of each tensor.
    """
    states = [load_file(root / name / "model.safetensors") for name in ("base", "a", "b", "c")]
    last = [_last_kept(states[0], state, whole) for state in states[1:]]
    free, wrong, worst = 0, 0, 0.0
    for name, mine in ours.items():
        gap, limit = np.abs(mine - theirs[name]).reshape(-1), 1e-5 * np.abs(theirs[name]).max()
        odd = np.flatnonzero(gap > limit)
        worst = max(worst, float(np.delete(gap, odd).max()) / (1e5 * limit))
        edge = np.zeros(odd.size, dtype=bool)
        for state, kept in zip(states[1:], last, strict=True):
            edge |= _sizes(states[0], state, name)[odd] == kept[name]
        free, wrong = free + int(edge.sum()), wrong + int((~edge).sum())
    told = f"equal to {worst:.1e} but for {free} entries that tie on a threshold"
    return told if not wrong else f"{told} and {wrong} that do not"


def _sizes(base: dict[str, np.ndarray], state: dict[str, np.ndarray], name: str) -> np.ndarray:
    return np.abs(state[name] - base[name]).reshape(-1)


def _last_kept(base: dict[str, np.ndarray], state: dict[str, np.ndarray], whole: bool) -> dict[str, float]:
    """For each tensor the size of the last entry kept, of it alone or of all together."""
    sizes = {name: _sizes(base, state, name) for name in base}
    groups = {tuple(sizes): np.concatenate(list(sizes.values()))} if whole else {(n,): s for n, s in sizes.items()}
    found: dict[str, float] = {}
    for names, together in groups.items():
        # fusion-bench cuts at the largest of those that go, and keeps what is as large.
        place = together.size - max(1, int(DENSITY * together.size)) - whole
        together.partition(place)
        found |= dict.fromkeys(names, float(together[place]))
    return found
