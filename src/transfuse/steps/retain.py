"""What the members of an arm still know: their own heads' answers inside the trained arm against those before.

The divergence on the target's selection rows is a proxy for forgetting; accuracy on a source's own task, where the
recipe names one, is the thing itself. A member that was not trained is not computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.data.items import Items
from transfuse.steps import Context, Result, failed, failure, table
from transfuse.steps._fitted import rows_of, selection_rows
from transfuse.steps._halved import halved
from transfuse.store import Artifact
from transfuse.types import Card

if TYPE_CHECKING:
    from transfuse.source.base import Source

REVISION = 1
NEEDS = ("torch",)
BATCH = 32

Answer = Callable[[int, np.ndarray, Artifact, str | None], np.ndarray]


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`kl` {member: nats}, and `own` {member: accuracy before, accuracy after} where it has a task of its own."""
    if reason := failure(inputs):
        return failed(reason)
    answer = _answer(params, inputs, context) if params["moves"] else None
    held = np.unique(selection_rows(rows_of(inputs))["held"])
    drift: dict[str, float] = {}
    own: dict[str, tuple[float, float]] = {}
    for number in params["heads"]:
        drift[str(number)] = 0.0
        if answer is not None:
            before = _at(inputs[f"before{number}"], held)
            drift[str(number)] = divergence(before, answer(number, held, inputs["items"], None))
        if str(number) in params["own"]:
            name, logits = params["own"][str(number)], inputs[f"own{number}"]
            rows, classes = logits["rows"], Card.from_record(inputs[f"card{number}"].meta).classes
            items = table(inputs[f"own_items{number}"])
            after = logits["block"] if answer is None else answer(number, rows, inputs[f"own_items{number}"], name)
            own[str(number)] = accuracy(logits["block"], items, rows, classes), accuracy(after, items, rows, classes)
    if not all(np.isfinite([*drift.values()])):
        return failed("a member's own head gives NaN or infinity once it is trained")
    return {"kl": drift, "own": own, "rows": len(held)}, None


def divergence(before: np.ndarray, after: np.ndarray) -> float:
    """Mean over rows of KL(before ‖ after) in nats, from logits [N, C]; never below 0."""
    from scipy.special import log_softmax

    first, second = log_softmax(before.astype(np.float64), axis=1), log_softmax(after.astype(np.float64), axis=1)
    return max(0.0, float((np.exp(first) * (first - second)).sum(axis=1).mean()))


def accuracy(logits: np.ndarray, items: Items, rows: np.ndarray, classes: tuple[str, ...]) -> float:
    """Share of labelled rows whose label is the class [C] of the highest logit [N, C]."""
    labels = [items.labels[int(row)] for row in rows]
    known = np.array([label is not None for label in labels])
    wanted = np.array([-1 if label is None else classes.index(label) for label in labels])
    return float((logits.argmax(axis=1) == wanted)[known].mean())


def _answer(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Answer:
    """Logits of a member's own head inside the trained arm; members merged into one all answer as that one."""
    import torch

    from transfuse.steps import _model, _networks
    from transfuse.steps._canvases import canvases

    device = context.torch_device()
    model = _model.network(params, inputs, inputs["fit"], context, "fused").to(device)
    cast = _networks.autocast(params["precision"], device)

    def member(number: int) -> Source:
        return model.member(model.names[0 if params["merge"] else number])

    def answer(number: int, rows: np.ndarray, items: Artifact, extra: str | None) -> np.ndarray:
        read = canvases({**params, "extra": extra}, items, context)

        def ask(these: np.ndarray) -> np.ndarray:
            batch = torch.from_numpy(read(these)).to(device)
            return member(number).blocks(batch, ["logits"])["logits"].float().cpu().numpy()

        with torch.no_grad(), cast():
            return halved(rows, BATCH, ask, context)[0]

    return answer


def _at(features: Artifact, rows: np.ndarray) -> np.ndarray:
    """The block's lines of these rows; features' rows ascend."""
    return features["block"][np.searchsorted(features["rows"], rows)]
