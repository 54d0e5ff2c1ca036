"""What training tools put around a state dict; without it only bare ones could be read.

Pure functions of what a restricted reader gave; nothing is opened here. No torch at import.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfuse.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

WRAPPERS = ("state_dict", "model", "model_state_dict")


def state_dict_of(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors by name in what a PyTorch file held. Raises UserError where there is more or less than that."""
    import torch

    content, _ = unwrapped(content)
    if not isinstance(content, Mapping) or not content:
        raise UserError("this file holds no state dict", where=str(path), got=type(content).__name__)
    tensors = {name: item for name, item in content.items() if isinstance(name, str) and isinstance(item, torch.Tensor)}
    if len(tensors) < len(content):
        shown = ", ".join(sorted(str(name) for name in content if name not in tensors)[:5])
        raise UserError("this file holds more than tensors", where=str(path), expected="{name: tensor}", got=shown)
    prefix = "module." if all(name.startswith("module.") for name in tensors) else ""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def unwrapped(content: Any) -> tuple[Any, str]:
    """What stands under the names of `WRAPPERS`, and in words where it was, what lies beside it, and how other weights
    that do are taken; empty for bare."""
    import torch

    said = []
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            beside = ", ".join(str(name) for name in content if name != wrapper)
            said.append(f"'{wrapper}'" + (f", which lies beside {beside}" if beside else ""))
            for name, other in content.items():
                values = list(other.values()) if isinstance(other, Mapping) and name != wrapper else []
                if values and all(isinstance(value, torch.Tensor) for value in values):
                    said.append(
                        f"'{name}' holds weights too: torch.save(checkpoint['{name}'], FILE) makes a file of them"
                    )
            content = content[wrapper]
    return content, "; ".join(said)
