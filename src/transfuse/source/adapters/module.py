"""Any `torch.nn.Module` given from Python; its spec, `module:NAME`, names it but cannot build it."""

from __future__ import annotations

from pathlib import Path

from transfuse.errors import UserError
from transfuse.source.spec import Built, Spec


def matches(spec: Spec) -> bool:
    """Whether this adapter serves the spec."""
    return spec.scheme == "module"


def files(spec: Spec, root: Path) -> list[Path]:
    """No file decides its card."""
    return []


def build(spec: Spec, root: Path) -> Built:
    """Always an error: only the caller has the module."""
    raise UserError(
        f"'{spec.target}' is a module from Python and must be given again",
        where=spec.text,
        hint="transfuse.compare({NAME: module, ...}, data), or transfuse.load(folder, modules={NAME: module})",
    )
