"""Without this, each family of laws would judge, compare and watch randomness in its own way."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from transfuse.errors import TransfuseError, UserError
from transfuse.registry import Entry, Parameter

Law = Callable[[Entry], None]


class BrokenLawError(TransfuseError):
    """A method does not keep a law of its family; the message says by how much or where."""


@dataclass(frozen=True)
class Family:
    """The laws of one family.

    `always` hold for every method, `by_trait[name]` where that trait is declared true. Of `two_sided` traits a false
    declaration is tested too: data as general as the tests' break such a law unless it holds everywhere. `use` runs a
    method through its lift with some settings; `maker` is what takes the settings, after `given` other arguments.
    """

    always: tuple[Law, ...]
    by_trait: Mapping[str, tuple[Law, ...]]
    two_sided: frozenset[str]
    use: Callable[[Entry, Mapping[str, Any]], object]
    maker: str
    given: int


def require(holds: bool, otherwise: str) -> None:
    """Raises BrokenLawError saying `otherwise`."""
    if not holds:
        raise BrokenLawError(otherwise)


def distance(found: Any, wanted: Any) -> float:
    """Largest difference as a share of 1 + the largest wanted number; infinite for other shapes and for NaN."""
    left, right = np.asarray(found, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    if left.shape != right.shape:
        return float("inf")
    if not left.size:
        return 0.0
    gap = float(np.abs(left - right).max()) / (1.0 + float(np.abs(right).max()))
    return gap if np.isfinite(gap) else float("inf")


def require_same(found: Any, wanted: Any, what: str, tolerance: float = 1e-9) -> None:
    """Raises BrokenLawError naming `what` and the distance, where the two differ by more than rounding."""
    gap = distance(found, wanted)
    require(gap <= tolerance, f"{what}: differs by {gap:.3g} (relative), allowed {tolerance:.3g}")


def require_refused(call: Callable[[], object], *mentions: str, case: str) -> None:
    """`call` must raise a UserError whose message holds every one of `mentions`."""
    try:
        call()
    except UserError as error:
        lacking = [text for text in mentions if text not in str(error)]
        require(not lacking, f"{case}: the message does not name {', '.join(lacking)}: {error}")
        return
    raise BrokenLawError(f"{case}: accepted, must be refused with a UserError")


@contextlib.contextmanager
def quiet(what: str) -> Iterator[None]:
    """Raises BrokenLawError where Python's, numpy's or torch's global random state moves inside, then restores it."""
    import torch

    kept = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()  # noqa: NPY002
    # Drawn once before, because a fault that always sets the same seed may have left just that state.
    _ = random.random(), np.random.random(), torch.rand(1)  # noqa: NPY002, S311
    before = _global_states()
    try:
        yield
        moved = _global_states() != before
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002
        torch.set_rng_state(kept[2])
    require(not moved, f"{what} moves a global random state")


def _global_states() -> tuple[object, ...]:
    import torch

    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    keys = np.asarray(numpy_state["state"]["key"]).tobytes()
    return random.getstate(), repr(numpy_state), keys, bytes(torch.get_rng_state().numpy())


def variants(entry: Entry) -> Iterator[dict[str, Any]]:
    """The declared defaults, and every parameter moved away from its default, for laws that hold at any setting."""
    yield entry.settings({})
    if entry.parameters:
        yield entry.settings({name: _moved(parameter) for name, parameter in entry.parameters.items()})


def _moved(parameter: Parameter) -> Any:
    """A valid value other than the default where there is one. Numbers move up by 7 or half-way to the bound."""
    default = parameter.default
    if parameter.example is not None:
        return parameter.example
    if parameter.options:
        return next((option for option in reversed(parameter.options) if option != default), default)
    if parameter.type == "bool":
        return not default
    if parameter.type not in ("int", "float") or default is None:
        return default
    high, low = parameter.high, parameter.low
    up = default + 7 if high is None else min(default + 7, default + (high - default) / 2)
    if up == default and low is not None:
        up = (default + low) / 2
    return int(up) if parameter.type == "int" else float(up)
