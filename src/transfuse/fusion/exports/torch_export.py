"""A PyTorch program file: loads with `torch.export.load` where neither this package nor the sources' packages are.

    torch.export.load(path).module()(canvas) -> probabilities        canvas [N, 3, S, S] in [0, 1]

The words that travel with it are its extra file `facts.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

TRAITS = {"suffix": ".pt2"}


def write(program: ExportedProgram, example: Tensor, path: Path, facts: Mapping[str, str]) -> None:
    """Write the program and its facts."""
    torch.export.save(program, path, extra_files={"facts.json": json.dumps(dict(facts), sort_keys=True)})
