"""Step kinds: one file a kind; the only place where rooms meet.

A kind offers `run(params, inputs, context) -> (meta, arrays)`, those that fit an arm also a function `predict`;
`REVISION` is part of the key. A `Context` gives a step the store, the data, the sources' files and a way to report; a
step whose inputs have a `failure` gives back what `failed` makes of it. Files with an underscore hold what several
kinds share: `_fitted` (what every fitted arm leaves behind), `_networks` and `_model` (networks from a plan, and back
from the store), `_tuned`, `_taught`, `_trials` (training), `_merging` (merges), `_case` (what the judge is given).

Where to look:

    looking at sources     `extract`, `nearest`, `stated`, `probe`, `appraise`, `stitch`, `search`, `propose`
    fitting arms           `prior`, `as_is`, `train`, `pool`, `merge`, `compress`, `retrain`, `teach`, `match`
    choosing, asking       `choose`, `predict`, `attack`, `retain`
    counting, judging      `count`, `measure`, `evaluate`, `ship`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfuse.events import Emit, silent
from transfuse.jsonio import canonical
from transfuse.store import Artifact, Store

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

    from transfuse.data.items import Items
    from transfuse.data.open import Data

Result = tuple[Any, "Mapping[str, np.ndarray] | None"]


@dataclass(frozen=True)
class Context:
    """`data` is the recipe's data entry (or the object given in Python), `modules` the sources given in Python by name,
    `extra` what is read for further sets of items, by name.

    `keys` are the keys of this step's inputs by role: an artifact that must be found again refers to them. `key` is
    this step's own, under which parts of it are kept that an interrupted step need not do again.
    """

    store: Store
    root: Path
    data: Any = None
    modules: Mapping[str, nn.Module] = field(default_factory=dict)
    device: str = "auto"
    emit: Emit = silent
    keys: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""

    def open(self, items: Artifact, extra: str | None = None) -> Data:
        """The data set, or a further one by name, with its already known table."""
        from transfuse.data.open import open_data

        spec = self.data if extra is None else self.extra[extra]
        try:
            spelled = canonical(spec) if isinstance(spec, str | dict) and items.key else None
        except TypeError:
            # What holds arrays, or a Dataset, has no spelling.
            spelled = None
        if spelled is None:
            return open_data(spec, self.root, items=table(items))
        return _remembered(
            ("data", items.key, spelled, self.root), lambda: open_data(spec, self.root, items=table(items))
        )

    def torch_device(self) -> torch.device:
        """The device this run computes on; `auto` is the first accelerator, else the CPU."""
        import torch

        from transfuse.errors import UserError, first_line

        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            # For a word that is no device PyTorch lists two dozen kinds that it was ever built for.
            told = first_line(error)
            unknown = told.startswith(("Expected one of", "Invalid device"))
            raise UserError(
                f"the device '{self.device}' cannot be used here",
                where="recipe, run.device",
                expected="auto, cpu, cuda, cuda:1 or mps" if unknown else None,
                got=None if unknown else told,
                hint="device: cuda" if "gpu" in self.device.lower() else "device: auto",
            ) from error
        return device


def table(items: Artifact) -> Items:
    """The item table of a step's input."""
    from transfuse.data.items import Items

    if not items.key:
        return Items.from_json(items.meta)
    return _remembered(("table", items.key), lambda: Items.from_json(items.meta))


def failed(reason: str) -> Result:
    """An arm that could not be fitted; the others go on, and the report says so."""
    return {"failed": reason}, None


def failure(inputs: Mapping[str, Artifact]) -> str | None:
    """The first reason why an input is unusable."""
    reasons = [
        artifact.meta["failed"]
        for artifact in inputs.values()
        if isinstance(artifact.meta, dict) and "failed" in artifact.meta
    ]
    return reasons[0] if reasons else None


# Tens of thousands of items take a second to check and to decompress, which every step would do again.
_MOST_REMEMBERED = 4
_memory: dict[tuple[Any, ...], Any] = {}


def _remembered(name: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """What this process made of the same artifact before; the last few are kept."""
    found = _memory.pop(name, None)
    _memory[name] = make() if found is None else found
    while len(_memory) > _MOST_REMEMBERED:
        del _memory[next(iter(_memory))]
    return _memory[name]
