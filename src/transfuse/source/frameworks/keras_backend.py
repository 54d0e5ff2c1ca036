"""The one place where Keras is imported: on PyTorch, or not at all; elsewhere its backend would be a matter of luck."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from transfuse.errors import UserError, missing_extra

BACKEND, VARIABLE = "torch", "KERAS_BACKEND"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inside, Keras makes a network on the CPU: it draws from Python's own stream, which is left where it was, and
    warns of its own use of numpy."""
    state = random.getstate()
    try:
        with warnings.catch_warnings(), keras("").device("cpu"):
            warnings.filterwarnings("ignore", message="__array__ implementation", category=DeprecationWarning)
            yield
    finally:
        random.setstate(state)


def keras(where: str) -> Any:
    """The package, on PyTorch. Raises UserError where it is there already, or asked for, on another backend."""
    loaded = sys.modules.get("keras")
    if loaded is not None:
        _require(str(loaded.config.backend()), "Keras was imported before", where)
        return loaded
    stated = os.environ.get(VARIABLE)
    _require(stated or BACKEND, f"the variable {VARIABLE} says", where)
    os.environ[VARIABLE] = BACKEND
    # Keras draws from Python's own stream while it starts.
    state = random.getstate()
    try:
        with warnings.catch_warnings():
            # What its parts say of numpy and protobuf at import is nothing a user of a network can act on.
            warnings.simplefilter("ignore")
            import keras as found
    except ImportError as error:
        raise missing_extra("keras", "keras", "a Keras source") from error
    finally:
        random.setstate(state)
        if stated is None:
            del os.environ[VARIABLE]
    return found


def _require(backend: str, how: str, where: str) -> None:
    if backend != BACKEND:
        raise UserError(
            "a Keras network can be a source only where Keras runs on PyTorch",
            where=where,
            expected=f"{VARIABLE}={BACKEND} before anything imports keras",
            got=f"{how}: {backend}",
        )
