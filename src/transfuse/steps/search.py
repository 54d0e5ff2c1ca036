"""The search: which of some hundred fusions are worth training, told by heads on cached features, out of fold.

Only rows that may train or choose are looked at; judged rows have no part in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transfuse.cells import filled
from transfuse.evaluation.case import MarginRule
from transfuse.steps import Context, Result, failed, failure, table
from transfuse.steps._fitted import blocks_of, lines_of, rows_of, selection_rows
from transfuse.steps._screen import ROWS, Candidate, Fuser, Screen, optimism
from transfuse.steps._spent import BYTES
from transfuse.steps.pool import names
from transfuse.store import Artifact

REVISION = 1
NEEDS = ("torch",)
FOLDS = 5
TOLD = 20
FUSERS = ("features/gate", "features/scalar_mix", "features/attention")


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`finalists` {name: what a recipe would write}, `chosen` their names, `scores` of the best, `tried` how many, and
    `optimism`: what choosing flattered.

    Inputs: features `xNUMBER|BLOCK`, `count|NUMBER` in the order of `params["blocks"]` (source, tap), and where the
    budget has a time `probe|SOURCE`. Fails, saying what the cheapest would need, where no fusion is within the budget.
    """
    if reason := failure(inputs):
        return failed(reason)
    items, rows = table(inputs["items"]), rows_of(inputs)
    labelled = np.unique(np.concatenate([rows["train"], *selection_rows(rows).values()]))
    labelled = labelled[:: -(-len(labelled) // ROWS)]
    where, blocks = blocks_of(inputs)
    keys = [(str(source), str(tap)) for source, tap in params["blocks"]]
    counts = [inputs[f"count|{index}"].meta for index in range(len(keys))]
    screen = Screen(
        blocks={
            key: filled(_flat(lines_of(where, pieces, labelled)), _numbers(inputs, index))
            for index, (key, pieces) in enumerate(zip(keys, blocks, strict=True))
        },
        targets=items.targets()[labelled],
        folds=_dealt(names(items, labelled)),
        classes=len(items.classes),
        flops={key: float(count["member_flops"]) for key, count in zip(keys, counts, strict=True)},
    )
    screen.run(_fusers(len(items.classes)))
    fusions = [one for one in screen.tried.values() if one.family != "single"]
    fitting = [one for one in fusions if not _over(one, screen, params, inputs, len(labelled))]
    if not fitting:
        return failed(_needed(fusions, screen, params, inputs, len(labelled)))
    finalists = chosen(fitting, params["finalists"])
    told = optimism(fitting, screen.singles)
    facts: dict[str, Any] = {}
    for one in finalists:
        for name in (*one.needs, one.name):
            facts[name] = dict(screen.tried[name].facts)
    best = sorted(fitting, key=lambda one: float(one.losses.mean()))[:TOLD]
    return {
        "chosen": [one.name for one in finalists],
        "finalists": facts,
        "scores": {one.name: float(one.losses.mean()) for one in best},
        "tried": len(screen.tried),
        "within": len(fitting),
        "rows": len(labelled),
        "optimism": {**vars(told), "shown": told.shown},
    }, None


def chosen(fitting: list[Candidate], count: int) -> list[Candidate]:
    """Those worth training: the best of all, the best of each family, and the cheapest within the margin of the best;
    then the next best. A rank costs one place whoever holds it, so that the number of finalists is the same for all."""
    ranked = sorted(fitting, key=lambda one: (float(one.losses.mean()), one.flops, one.name))
    best = float(ranked[0].losses.mean())
    limit = best + MarginRule().value("log_loss", best)
    near = [one for one in ranked if float(one.losses.mean()) <= limit]
    cheapest = min(near, key=lambda one: (one.flops, float(one.losses.mean()), one.name))
    families = [next(one for one in ranked if one.family == family) for family in sorted({o.family for o in ranked})]
    families.sort(key=lambda one: float(one.losses.mean()))
    order = {one.name: one for one in (ranked[0], cheapest, *families, *ranked)}
    return list(order.values())[:count]


def _fusers(classes: int) -> dict[str, Fuser]:
    """Fusers of vectors as they start, by name: what they give without training; concatenation is the heads' own."""
    import torch

    from transfuse.fusion.connect import crown
    from transfuse.reads import Read
    from transfuse.types import Card, Prepare, Tap

    def fuser(name: str) -> Fuser:
        def fuse(blocks: Sequence[np.ndarray]) -> np.ndarray:
            taps = [Tap("vector", "vector", block.shape[1], "") for block in blocks]
            cards = {
                str(number): Card(str(number), "", "", "", Prepare(8), {"vector": tap}, 0)
                for number, tap in enumerate(taps)
            }
            reads = [Read(member, "vector") for member in cards]
            top = crown(name, cards, reads, [str(number) for number in range(classes)], seed=0).eval()
            given = [torch.from_numpy(np.ascontiguousarray(block, dtype=np.float32)) for block in blocks]
            with torch.no_grad():
                top.settle(given)
                return top.fuse(given).numpy().astype(np.float64)

        return fuse

    return {name: fuser(name) for name in FUSERS}


def _numbers(inputs: Mapping[str, Artifact], index: int) -> int:
    """How many entries of a block are numbers that may be missing."""
    return next(inputs[role].meta.get("numbers", 0) for role in inputs if role.startswith(f"x{index}|"))


def _flat(block: np.ndarray) -> np.ndarray:
    return block.reshape(len(block), -1)


def _dealt(ids: list[str]) -> np.ndarray:
    """Folds of about the same size by the order of a hash of the ids; groups stay together."""
    from transfuse.seeds import uniform

    return np.floor(FOLDS * uniform(ids, "search", "fold")).astype(np.int64)


def _latency_ms(one: Candidate, screen: Screen, inputs: Mapping[str, Artifact]) -> float:
    """Milliseconds of one answer by this machine's probe: its sources', in proportion to what it asks of them."""
    whole = sum(max(flops for (source, _), flops in screen.flops.items() if source == name) for name in one.sources)
    speed = sum(float(inputs[f"probe|{source}"].meta["forward_ms"]) for source in one.sources)
    return speed * one.flops / max(whole, 1.0)


def _train_seconds(one: Candidate, params: Mapping[str, Any], inputs: Mapping[str, Artifact], rows: int) -> float:
    """Seconds of features of all rows, and of as many heads as there are runs, by this machine's probe."""
    speed = sum(float(inputs[f"probe|{source}"].meta["forward_ms"]) for source in one.sources)
    return speed * rows / 1000 + params["head_seconds"] * params["runs"] * (1 + len(one.needs))


def _weights_bytes(one: Candidate, params: Mapping[str, Any], inputs: Mapping[str, Artifact]) -> float:
    """Bytes of the weights of its sources, each counted once, in single precision."""
    counted: dict[str, float] = {}
    for number, (source, _) in enumerate(params["blocks"]):
        counted[source] = max(counted.get(source, 0.0), float(inputs[f"count|{number}"].meta.get("parameters", 0)))
    return BYTES * sum(counted[source] for source in one.sources)


def _over(
    one: Candidate, screen: Screen, params: Mapping[str, Any], inputs: Mapping[str, Artifact], rows: int
) -> list[str]:
    """Which limits a candidate exceeds, each with what it would need."""
    found, budget = [], params["budget"]
    if budget["flops"] is not None and one.flops > budget["flops"]:
        found.append(f"{one.flops:.3g} FLOPs per item, the budget has {budget['flops']:.3g}")
    most, needed = budget.get("memory"), _weights_bytes(one, params, inputs)
    if most is not None and needed > most:
        found.append(f"{needed / 1e6:.3g} MB of weights, the budget has {most / 1e6:.3g} MB")
    if budget["latency"] is not None and (needed := _latency_ms(one, screen, inputs)) > 1000 * budget["latency"]:
        found.append(f"about {needed:.3g} ms per item, the budget has {1000 * budget['latency']:.3g} ms")
    if budget["train"] is not None and (needed := _train_seconds(one, params, inputs, rows)) > budget["train"]:
        found.append(f"about {needed:.3g} s of training, the budget has {budget['train']:.3g} s")
    return found


def _needed(
    fusions: list[Candidate], screen: Screen, params: Mapping[str, Any], inputs: Mapping[str, Artifact], rows: int
) -> str:
    if not fusions:
        return "there is nothing to search: a fusion needs two sources"
    cheapest = min(fusions, key=lambda one: (len(_over(one, screen, params, inputs, rows)), one.flops, one.name))
    over = "; ".join(_over(cheapest, screen, params, inputs, rows))
    return f"no fusion fits into the budget; the cheapest, {cheapest.name}, needs {over}"
