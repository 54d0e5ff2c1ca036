"""Without this file, every adapter would seed, load and refuse in its own way. No torch at import."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfuse import seeds
from transfuse.errors import UserError
from transfuse.files.weights import existing, load_state
from transfuse.source.prepare import metadata, stated_prepare
from transfuse.source.spec import Built, Spec
from transfuse.source.weights import fill

if TYPE_CHECKING:
    from torch import nn

IMAGENET_CLASSES = 1000


@contextlib.contextmanager
def seeded(spec: Spec) -> Iterator[None]:
    """Initial weights inside depend on the network's name and the option `seed` alone; global streams do not move."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeds.integer("source", spec.scheme, spec.target, spec.seed))
        yield


def from_file(spec: Spec, path: Path, module: nn.Module, base: Built) -> Built:
    """`module` with the weights of `path`; what the file states of itself goes over what `base` knows.

    Raises UserError where the weights do not fit, and UnsafeFileError for a file that is not safe to load.
    """
    stated = metadata(existing(path))
    fill(module, load_state(path), f"{spec.text} ({path.name})")
    return Built(
        module=module,
        prepare=stated_prepare(stated, where=str(path), base=base.prepare),
        licence=_text(stated, "licence", path) or base.licence,
        classes=_class_names(stated, path) or base.classes,
        seen=_text(stated, "seen", path) or base.seen,
        notes=base.notes,
    )


def _text(stated: Mapping[str, Any], key: str, path: Path) -> str:
    value = stated.get(key, "")
    if not isinstance(value, str):
        raise UserError(f"the metadata field '{key}' is no text", where=str(path), got=repr(value)[:80])
    return value


def _class_names(stated: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    names = stated.get("classes", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError("the metadata field 'classes' is no list of names", where=str(path), got=repr(names)[:80])
    return tuple(names)


def class_count(spec: Spec) -> int:
    """The option `classes`. Raises UserError where it would quietly throw a pretrained classifier away."""
    count = spec.number("classes", IMAGENET_CLASSES)
    if count < 2:
        raise UserError("a classifier needs at least 2 classes", where=spec.text, got=str(count))
    if count != IMAGENET_CLASSES and not spec.random and "checkpoint" not in spec.options:
        raise UserError(
            "pretrained weights come with their own classes",
            where=spec.text,
            expected=f"classes={IMAGENET_CLASSES}, or no option 'classes'",
            got=f"classes={count}",
            hint="leave it out: a new head for the task is fitted anyway; or use @random",
        )
    return count


def cannot_download(spec: Spec, error: Exception) -> UserError:
    """The error for weights that could not be fetched."""
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(
        f"cannot download the weights of '{spec.target}'",
        where=spec.text,
        got=first[:200],
        hint=f"connect to the network, use your own copy (file:WEIGHTS?arch={spec.scheme}:{spec.target}), "
        f"or build it untrained ({spec.scheme}:{spec.target}@random)",
    )
