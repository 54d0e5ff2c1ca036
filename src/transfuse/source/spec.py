"""Without this file, every command would read `torchvision:resnet18@IMAGENET1K_V1` in its own way.

A spec is `SCHEME:TARGET[@TAG][?OPTION=VALUE&…]`. The scheme is the name of an adapter. `@random` builds the network
without pretrained weights (option `seed`, default 0). Nothing here imports torch, so plans can be made from specs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from transfuse.errors import UserError, unknown_name
from transfuse.files.weights import ENDINGS
from transfuse.registry import shelf
from transfuse.types import Prepare

if TYPE_CHECKING:
    from torch import nn

SHELF = "source/adapters"
RANDOM = "random"
OF_ARCHITECTURE = ("classes", "size", "tokens", "labels", "template")
# Of these the target is a path, in which '@' is an ordinary character.
PATH_SCHEMES = ("file", "module", "factory", "onnx", "tensorflow", "columns")
PATH_ENDINGS = (".keras",)
NAMED = ("torchvision", "demo", "keras")
# What stands in such a file runs code when it is opened; the ways that do work.
REFUSED = {
    "sklearn": (
        "a fitted scikit-learn model stands in a pickle, which runs code when it is opened",
        "judge its predictions (transfuse evaluate), or fuse the fitted object in Python: "
        "transfuse.doors.sklearn.FusionClassifier([('name', model), ...], prefit=True)",
    ),
}


@dataclass(frozen=True)
class Spec:
    """One source as the user wrote it, taken apart; `text` is the whole."""

    scheme: str
    target: str
    options: dict[str, str]
    tag: str | None
    text: str

    @property
    def random(self) -> bool:
        """Whether the network is built without pretrained weights."""
        return self.tag == RANDOM

    @property
    def seed(self) -> int:
        """The seed of a random network; other draws of the same network have other seeds."""
        return self.number("seed", 0)

    def number(self, option: str, default: int) -> int:
        """An option that must be a natural number."""
        value = self.options.get(option)
        if value is None:
            return default
        if not value.isascii() or not value.isdigit():
            raise UserError(f"the option '{option}' must be a natural number", where=self.text, got=value)
        return int(value)


@dataclass(frozen=True)
class Built:
    """What an adapter gives back: a network that returns logits, and what is known of it.

    `prepare` is None where nobody stated how the network wants its images; `classes` is empty where names are unknown.
    `frozen` says why nothing of it can be trained or differentiated, where that is so; `beheaded` is the path of a
    classifier that the architecture has and the file lacks.
    """

    module: nn.Module
    prepare: Prepare | None = None
    licence: str = "unknown"
    classes: tuple[str, ...] = ()
    seen: str = "unknown"
    notes: tuple[str, ...] = field(default=())
    frozen: str = ""
    beheaded: str = ""


def parse(text: str) -> Spec:
    """Take a spec apart. Raises UserError for an unknown scheme (nearest offered), a bad shape or unknown option."""
    scheme, colon, rest = text.partition(":")
    if not colon or not rest:
        is_file = text.lower().endswith(ENDINGS)
        raise UserError(
            "a source is written SCHEME:NAME",
            where=text,
            expected="for example torchvision:resnet18",
            got=repr(text),
            hint=f"name the architecture of these weights: file:{text}?arch=torchvision:NAME" if is_file else None,
        )
    if scheme in REFUSED:
        what, way = REFUSED[scheme]
        raise UserError(what, where=text, hint=way)
    adapters = shelf(SHELF)
    if scheme not in adapters:
        raise unknown_name("kind of source", scheme, adapters, where=text)
    target, options = _options(rest, text)
    is_path = scheme in PATH_SCHEMES or target.endswith(PATH_ENDINGS)
    target, tag = (target, None) if is_path else _tag(target)
    if not target or tag == "":
        raise UserError("a name is missing", where=text, expected="SCHEME:NAME[@TAG][?OPTION=VALUE]")
    known = adapters[scheme].parameters
    for option in options:
        if option == "checkpoint" and option not in known:
            hint = f"file:{options[option]}?arch={scheme}:{target}" if scheme in NAMED else "file:FILE?arch=SCHEME:NAME"
            raise UserError(f"'{scheme}:' takes no checkpoint", where=text, hint=hint)
        if option not in known:
            raise unknown_name(f"option of '{scheme}:'", option, known, where=text)
    return Spec(scheme, target, options, tag, text)


def _options(rest: str, text: str) -> tuple[str, dict[str, str]]:
    target, mark, query = rest.rpartition("?")
    if not mark:
        return rest, {}
    options: dict[str, str] = {}
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        if not equals or not name or not value or name in options:
            raise UserError("an option is written NAME=VALUE, once", where=text, got=repr(part))
        options[name] = value
    return target, options


def _tag(target: str) -> tuple[str, str | None]:
    name, at, tag = target.partition("@")
    return name, (tag if at else None)


def stated_field(text: str) -> str | None:
    """What sources of this kind read, where their adapter says it for all of them."""
    entry = shelf(SHELF).get(text.partition(":")[0])
    return None if entry is None else entry.traits.get("field")


def carries(spec: Spec) -> bool:
    """Whether a source's own files hold its architecture too: where it is saved they go with it."""
    pattern = shelf(SHELF)[spec.scheme].traits.get("carries")
    return bool(pattern) and fnmatch(spec.target, str(pattern))


def drawn(spec: Spec) -> bool:
    """Whether the package can draw the architecture in a source's files anew."""
    return bool(shelf(SHELF)[spec.scheme].traits.get("drawn"))


def random_twin(text: str, seed: int = 0, classes: int | None = None) -> str:
    """The spec of the same network without its pretrained weights, for controls; with `classes`, which a file may have
    told, the spec says how many its classifier has.

    >>> random_twin("timm:tf_efficientnet_lite0?checkpoint=lite0.safetensors", seed=3)
    'timm:tf_efficientnet_lite0@random?seed=3'

    Raises UserError for a module that was given in Python: only its maker can make it again.
    """
    spec = parse(text)
    if spec.scheme == "module":
        raise UserError(
            "a module given in Python has no random twin", where=text, hint="give the twin as a source of its own"
        )
    if carries(spec) and not drawn(spec):
        raise UserError(
            "a network that stands in its own file has no random twin by name",
            where=text,
            hint="name an architecture, e.g. torchvision:resnet18",
        )
    if spec.scheme == "file":
        if "arch" not in spec.options:
            raise UserError(
                "a file without an architecture has no random twin", where=text, expected="?arch=torchvision:NAME"
            )
        architecture = parse(spec.options["arch"])
        spec = replace(architecture, options={**architecture.options, **_only(spec.options)})
    told = {} if classes is None else {"classes": str(classes)}
    options = {**told, **_only(spec.options), "seed": str(seed)}
    query = "&".join(f"{name}={value}" for name, value in sorted(options.items()))
    return f"{spec.scheme}:{spec.target}@{RANDOM}?{query}"


def _only(options: dict[str, str]) -> dict[str, str]:
    """The options that belong to the architecture."""
    return {name: options[name] for name in OF_ARCHITECTURE if name in options}


def local(root: Path, name: str) -> Path:
    """A path of a spec, relative to the recipe's folder (or absolute); `~` is the user's home."""
    return root / Path(name).expanduser()
