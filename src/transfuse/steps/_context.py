"""What every step is given beside parameters and inputs: the store, the data, the sources' files, a way to report."""

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
        if not isinstance(spec, str | dict) or not items.key:
            return open_data(spec, self.root, items=table(items))
        return _remembered(
            ("data", items.key, canonical(spec), self.root), lambda: open_data(spec, self.root, items=table(items))
        )

    def torch_device(self) -> torch.device:
        """The device this run computes on; `auto` is the first accelerator, else the CPU."""
        import torch

        from transfuse.errors import UserError

        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            first = str(error).splitlines()[0]
            raise UserError(
                f"the device '{self.device}' cannot be used here",
                where="recipe, run.device",
                got=first,
                hint="device: auto",
            ) from error
        return device


def table(items: Artifact) -> Items:
    """The item table of a step's input."""
    from transfuse.data.items import Items

    if not items.key:
        return Items.from_json(items.meta)
    return _remembered(("table", items.key), lambda: Items.from_json(items.meta))


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
