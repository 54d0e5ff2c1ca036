"""transfuse: fuse pretrained models, and know whether it pays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["choose", "compare", "evaluate", "fuse", "load", "merge"]

if TYPE_CHECKING:
    from transfuse.doors.python import choose, compare, evaluate, fuse, load, merge


def __getattr__(name: str) -> Any:
    # The verbs are fetched on first use, so that `import transfuse` costs nothing.
    if name in __all__:
        from transfuse.doors import python

        return getattr(python, name)
    raise AttributeError(f"module 'transfuse' has no attribute '{name}'")
