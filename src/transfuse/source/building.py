"""Without this file, every adapter would seed, load and refuse in its own way. No torch at import."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfuse import seeds
from transfuse.errors import UserError, first_line
from transfuse.files.weights import existing, load_state
from transfuse.source.prepare import metadata, stated_prepare
from transfuse.source.spec import Built, Spec
from transfuse.source.weights import fill

if TYPE_CHECKING:
    from torch import Tensor, nn

IMAGENET_CLASSES = 1000


@contextlib.contextmanager
def seeded(spec: Spec) -> Iterator[None]:
    """Initial weights inside depend on the network's name and the option `seed` alone; global streams do not move."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeds.integer("source", spec.scheme, spec.target, spec.seed))
        yield


def from_file(
    spec: Spec, path: Path, base: Built, build: Callable[[int], Built] | None = None, classes: int = IMAGENET_CLASSES
) -> Built:
    """The network of `base` with the weights of `path`; what the file states of itself goes over what `base` knows.

    With `build`, which makes the architecture with so many classes, a file whose classifier has another number than
    `classes` gives a network of that many. A file that lacks nothing but the classifier, as backbones do that were
    trained without labels, gives features. Raises UserError where the weights do not fit, and UnsafeFileError for a
    file that is not safe to load.
    """
    stated, loaded = metadata(existing(path)), load_state(path)
    state, said = part_of(loaded, base.module)
    width = head_width(state, base.module, classes) if build is not None and "classes" not in spec.options else None
    if build is not None and width is not None and width > 1:
        base = build(width)
    if head := lacking_head(state, base.module, classes):
        behead(base.module, head)
        said = "; ".join(filter(None, [said, f"the file holds no classifier ('{head}'): it is a source of features"]))
    fill(base.module, state, f"{spec.text} ({path.name})")
    return Built(
        module=base.module,
        prepare=stated_prepare(stated, where=str(path), base=base.prepare),
        licence=_text(stated, "licence", path) or base.licence,
        classes=_class_names(stated, path) or base.classes,
        seen=_text(stated, "seen", path) or base.seen,
        notes=(*base.notes, *([said] if said else [])),
        beheaded=head,
    )


def part_of(state: Mapping[str, Tensor], network: nn.Module) -> tuple[dict[str, Tensor], str]:
    """The tensors that the network calls by its own names, and in words what was cut off and left out.

    A training framework stores a network as part of a larger module, each name with a prefix (`net.`), beside what the
    loss and the metrics hold. Where the file holds the network's own names, or under no prefix or several all of them,
    the state is given as it is.
    """
    own = {name for name in network.state_dict() if not name.endswith("num_batches_tracked")}
    first = next(iter(own), "")
    if not own or own & state.keys():
        return dict(state), ""
    prefixes = {name.removesuffix(first) for name in state if name.endswith(f".{first}")}
    whole = [prefix for prefix in sorted(prefixes) if all(prefix + name in state for name in own)]
    if len(whole) != 1:
        return dict(state), ""
    prefix = whole[0]
    found = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    others = len(state) - len(found)
    left = f"; {others} other tensors of the file were left out" if others else ""
    return found, f"its weights are those under '{prefix}' of the file{left}"


def head_width(state: Mapping[str, Tensor], network: nn.Module, classes: int) -> int | None:
    """How many classes a file's classifier has, where it differs from a network of so many in nothing but that."""
    own = network.state_dict()
    shapes = [(tuple(own[name].shape), tuple(state[name].shape)) for name in own.keys() & state.keys()]
    unlike = [(ours, theirs) for ours, theirs in shapes if ours != theirs]
    widths = {theirs[0] for ours, theirs in unlike if theirs and ours[:1] == (classes,) and ours[1:] == theirs[1:]}
    heads = all(ours[:1] == (classes,) and ours[1:] == theirs[1:] for ours, theirs in unlike)
    return widths.pop() if heads and len(widths) == 1 else None


def behead(network: nn.Module, head: str) -> None:
    """Features come out where the classifier stood."""
    from torch import nn

    network.set_submodule(head, nn.Identity())
    network.headless = True  # pyright: ignore[reportArgumentType]


def lacking_head(state: Mapping[str, Tensor], network: nn.Module, classes: int) -> str:
    """The path of the layer that gives one number a class, where a file lacks its tensors and no others; else ""."""
    own = network.state_dict()
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    layers = {name.rpartition(".")[0] for name in missing}
    if len(layers) != 1 or state.keys() - own.keys():
        return ""
    (head,) = layers
    whole = len(missing) < len(own) and not any(name.startswith(f"{head}.") for name in state)
    return head if whole and all(own[name].shape[:1] == (classes,) for name in missing) else ""


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
    return UserError(
        f"cannot download the weights of '{spec.target}'",
        where=spec.text,
        got=first_line(error),
        hint=f"connect to the network, use your own copy (file:WEIGHTS?arch={spec.scheme}:{spec.target}), "
        f"or build it untrained ({spec.scheme}:{spec.target}@random)",
    )
