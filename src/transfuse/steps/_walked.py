"""The straight way between two members of a merge, told beside it: a bad mean is a barrier, or two bad ends.

A diagnosis on selection rows: nothing is chosen by it, and the merge is the same with and without it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from transfuse.evaluation import temperature
from transfuse.fusion.path import walk
from transfuse.source.weights import Reader

if TYPE_CHECKING:
    from transfuse.steps._merging import Merging


def walked(of: Merging, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """Losses and accuracies at each point, by view, and both barriers; members as they are after alignment.

    Runs in the first source's network, which holds the second end afterwards. Raises UserError where the sources' own
    head does not name the target's classes.
    """
    network = of.first.network
    first, second = (_holding(network, reader) for reader in readers.values())
    found = walk(network, first, second, of.held, of.batches(of.first), fit_temperature=_heat, read=of.logits)
    return {
        "ends": list(readers),
        "rows": len(of.held[1]),
        "shares": found.shares.tolist(),
        "loss": {view: losses.mean(axis=1).tolist() for view, losses in found.losses.items()},
        "accuracy": {view: right.tolist() for view, right in found.accuracies.items()},
        "barriers": found.barriers(),
    }


def _heat(scores: np.ndarray, targets: np.ndarray) -> float:
    return temperature.fit(scores, targets, "logit")


def _holding(network: nn.Module, reader: Reader) -> nn.Module:
    """A network like this one with the weights of a reader."""
    made = copy.deepcopy(network)
    made.load_state_dict({name: torch.from_numpy(np.array(reader.read(name))) for name in reader.names()})
    return made
