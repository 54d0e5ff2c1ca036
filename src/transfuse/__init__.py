"""transfuse: fuse pretrained models, and know whether it pays.

Where to look:

    the ways in    `doors/` (Python, command line)
    what goes in   `source/`, `data/`; both read strangers' bytes by `files/`; `demo/`
    a run          `plan/` (what will be computed), `steps/` (a kind of step a file; where rooms meet), `run/`
    what is made   `fusion/`, `train/`, `compress/`, `choosers/`, `conditions/`
    what is said   `evaluation/`, `report/`, `trust/`
    the ground     `types` (the nouns), `errors`, `registry` (of all shelves), `store` with `mapped` and `ledger`,
                   `events`, `seeds`, `jsonio`, `folder`; of plans `schedules`, `reads`, `levels`; of tasks and items
                   `kinds`, `labels`, `partial`, `fields`, `texts`, `cells`, `packed`; `given` (users' own Python),
                   `threads`, `figures`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["choose", "compare", "evaluate", "fuse", "load", "merge"]

if TYPE_CHECKING:
    from transfuse.doors.python import choose, compare, evaluate, fuse, load, merge


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    # The verbs are fetched on first use, so that `import transfuse` costs nothing.
    if name in __all__:
        from transfuse.doors import python

        return getattr(python, name)
    raise AttributeError(f"module 'transfuse' has no attribute '{name}'")
