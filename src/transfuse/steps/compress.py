"""Compress the network that another arm has fitted, and ask what choices and temperature need of what came out.

The rows that a method is shown are training rows of this run. Under cross-fitting the network has seen every row that
choices rest on, so there its member's out-of-fold scores stand, moved by what compressing changes on each row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.errors import MissingExtraError, UserError
from transfuse.evaluation import temperature
from transfuse.kinds import kind_of
from transfuse.registry import method
from transfuse.steps import Context, Result, failed, failure, table
from transfuse.steps._fitted import fitted, made_of, rows_of, selection_rows, task_of
from transfuse.store import Artifact

if TYPE_CHECKING:
    from torch import Tensor

    from transfuse.compress import Rows

REVISION = 1
NEEDS = ("torch",)
BATCH = 32


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """The compressed network as tensors and a description, with `told` (how far answers moved) and `counted` cost."""
    from transfuse.compress._lift import compressed
    from transfuse.steps import _model
    from transfuse.steps._compressed import answers, counted, described

    if reason := failure(inputs):
        return failed(reason)
    items, rows = table(inputs["items"]), rows_of(inputs)
    member = _model.opened(context.keys["member0"], context, "compressed")
    member.kind = items.kind
    shown = _Shown(params, inputs, context, rows["train"])
    try:
        found = compressed(method(params["method"]), member, shown.rows(), params["settings"])
    except MissingExtraError:
        raise
    except UserError as error:
        return failed(error.message().replace("\n", " "))
    model = _model.laid_out(found.model)
    ask = answers(model, params, inputs["items"], context)
    scores = {part: (where, ask(where)) for part, where in selection_rows(rows).items()}
    if params["final_fit"]:
        before = answers(member, params, inputs["items"], context)
        scores = {
            part: (where, _out_of_fold(inputs["member0"], part, where) + found - before(where))
            for part, (where, found) in scores.items()
        }
    if not all(np.isfinite(each).all() for _, each in scores.values()):
        return failed("once compressed it answers NaN or infinity")
    facts = {"kind": "compress", "items": shown.read, "made_of": made_of(params, context), "told": found.told}
    facts |= {"counted": counted(model, member, params["canvas"])} | described(model)
    facts |= {"found": shown.heard} if shown.heard else {}
    return fitted(scores, kind_of(items.kind).scale, items.targets(), facts, _model.state_of(model), items.kind)


def predict(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> np.ndarray:
    """Logits [N, C] (numbers of a regression) of the judged rows."""
    from transfuse.steps import _model
    from transfuse.steps._compressed import answers

    model = _model.opened(context.keys["fit"], context, "compressed")
    return answers(model, params, inputs["items"], context)(inputs["rows"]["judge"])


def _out_of_fold(member: Artifact, part: str, wanted: np.ndarray) -> np.ndarray:
    """The member's own scores of these rows as logits, in their order."""
    rows, kind = member[f"{part}_rows"], task_of(member)
    place = {int(row): index for index, row in enumerate(rows)}
    return temperature.as_logits(member[part], member.meta["scale"], kind)[[place[int(row)] for row in wanted]]


class _Shown:
    """The training rows that a method is shown: spread evenly, the same each time; what it read is counted."""

    def __init__(
        self, params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context, train: np.ndarray
    ) -> None:
        from transfuse.steps._canvases import canvases

        every = np.sort(train)
        self.chosen = every[:: max(1, -(-len(every) // params["most"]))]
        self.canvas, self.side = canvases(params, inputs["items"], context), params["canvas"]
        self.targets, self.context = table(inputs["items"]).targets(), context
        self.read = 0
        self.heard: list[dict[str, Any]] = []

    def rows(self) -> Rows:
        """As the contract has them."""
        from transfuse.compress import Rows

        return Rows(self.side, len(self.chosen), self._batches, self._emit)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        import torch

        for start in range(0, len(self.chosen), BATCH):
            some = self.chosen[start : start + BATCH]
            self.read += len(some)
            yield torch.from_numpy(self.canvas(some)), torch.from_numpy(self.targets[some])

    def _emit(self, event: str, **details: Any) -> None:
        self.heard.append({"event": event, **details})
        self.context.emit(event, **details)
