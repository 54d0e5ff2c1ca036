"""Weights merged into one source, with what goes before and after: lineage, alignment, choice, repair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.errors import UserError
from transfuse.steps import Context, Result, failed
from transfuse.store import Artifact

REVISION = 2
NEEDS = ("torch",)


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`state/TENSOR` of the merged source, and what is told of it: lineage, turns, weights, norms estimated anew.

    What cannot be merged is a failure of this arm alone, with the reason.
    """
    from transfuse.steps._merging import Merging

    try:
        state, told = Merging.of(params, inputs, context).made()
    except UserError as error:
        return failed(error.message().replace("\n", " "))
    return {"told": told}, {f"state/{name}": array for name, array in state.items()}
