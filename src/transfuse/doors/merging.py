"""`transfuse merge` from words on a command line: without it each number typed would reach a method as text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfuse import registry
from transfuse.errors import UserError, unknown_name
from transfuse.files.remote import Place, place
from transfuse.fusion.buffers import Buffers
from transfuse.fusion.streamed import Given, Sizes, merge_files, opened
from transfuse.registry import Entry, Parameter, shelf
from transfuse.threads import cores

ADAPTERS = "source/adapters"
MOST_WORKERS = 8
WORDS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class Order:
    """What was asked for on the command line, as words."""

    method: str
    sources: Sequence[str]
    out: Place
    base: str | None = None
    weights: str | None = None
    parameters: Sequence[str] = ()
    statistics: str = "mean"
    counters: str = "largest"
    align: str = "none"
    arch: str | None = None
    settings: Mapping[str, Any] | None = None


def carried_out(order: Order, workers: int | None, *, hashes: bool) -> str:
    """Merge, and say what was made."""
    entry, given = named_method(order.method), named_sources(order.sources)
    base = None if order.base is None else opened(source(order.base))
    turned = ""
    if order.align != "none":
        given, turned = aligned(order, {name: opened(one) for name, one in given.items()}, base)
    merge_files(
        entry,
        given,
        order.out,
        base=base,
        sizes=Sizes(workers=workers or min(cores(), MOST_WORKERS), hashes=hashes),
        weights=numbers(order.weights),
        settings=order.settings if order.settings is not None else parameters(entry, order.parameters),
        buffers=Buffers(order.statistics, order.counters),
    )
    return f"{entry.full_name} of {', '.join(given)}{turned}\nwritten: {order.out}"


def aligned(order: Order, given: Mapping[str, Given], base: Given | None) -> tuple[dict[str, Place | Given], str]:
    """The sources with their units in one order, and how much was moved; the network comes from `--arch`."""
    import torch

    from transfuse.fusion.aligned import align, aligning
    from transfuse.source.spec import parse, random_twin

    if order.arch is None:
        hint = "--arch torchvision:resnet18?classes=10"
        raise UserError("files do not say which network they belong to, so they cannot be aligned", hint=hint)
    spec = parse(random_twin(order.arch, 0))
    built = registry.find(ADAPTERS, spec.scheme).load().build(spec, Path.cwd())
    prepare = built.prepare
    side, channels = (64, 3) if prepare is None else (max(64, prepare.size // 2), prepare.channels)
    ramp = torch.linspace(-1, 1, 2 * channels * side * side).reshape(2, channels, side, side)
    found = align(
        aligning(order.align),
        built.module.eval(),
        {name: one.reader for name, one in given.items()},
        ramp,
        base=None if base is None else base.reader,
    )
    moved = ", ".join(f"{name} {100 * share:.0f} %" for name, share in found.moved.items())
    lenses: dict[str, Place | Given] = {
        name: Given(found.members[name], one.files, f"{one.said} aligned by {order.align}")
        for name, one in given.items()
    }
    return lenses, f"\naligned by {order.align}: moved {moved}"


def configured(path: Path, out: Place) -> Order:
    """The merge that a mergekit configuration asks for; its paths are relative to the working directory."""
    from transfuse.doors.mergekit import translated
    from transfuse.plan.text import loaded, text_of

    found = translated(loaded(text_of(path), where=str(path)), where=str(path))
    named = [f"{name}={model}" for name, model in found.sources.items()]
    weights = None if found.weights is None else ",".join(map(str, found.weights))
    entry = named_method(found.method)
    return Order(found.method, named, out, found.base, weights, settings=entry.settings(found.settings))


def named_method(name: str) -> Entry:
    """A method of `weights/` by its full or its own name. Raises `UserError` for another name, and for a file in its
    place."""
    known = shelf("fusion/weights")
    short = name.removeprefix("weights/")
    if short not in known and (not re.fullmatch(r"(\w+/)?\w+", name) or Path(name).exists()):
        raise UserError(
            "the method comes first, then what is merged",
            expected="transfuse merge METHOD A B --out FILE",
            got=name,
            hint=f"transfuse merge mean {name} ...; `transfuse methods` lists the others, called weights/...",
        )
    if short not in known:
        raise unknown_name("method", name, [entry.full_name for entry in known.values()])
    return known[short]


def named_sources(given: Sequence[str]) -> dict[str, Place | Given]:
    """Sources by name, from FILE or NAME=FILE; names come from file names and must differ."""
    found: dict[str, Place | Given] = {}
    for text in given:
        name, _, file = text.partition("=") if _is_named(text) else ("", "", text)
        name = name or _stem(file)
        if name in found:
            raise UserError(f"two sources would be called '{name}'", hint="name them: first=FILE second=FILE")
        found[name] = source(file)
    return found


def _stem(text: str) -> str:
    """`a` of `folder/a.safetensors` or `s3://folder/a.safetensors`, `resnet18` of `torchvision:resnet18@TAG`."""
    if "://" in text:
        return Path(place(text).name).stem
    if text.partition(":")[0] in shelf(ADAPTERS) and not Path(text).exists():
        return re.split(r"[?@]", text.split(":", 1)[1])[0].rpartition("/")[2].removesuffix(".safetensors")
    base, plus, adapter = text.rpartition("+")
    return f"{_stem(base)}+{Path(adapter).name}" if plus and not Path(text).exists() else Path(text).stem


def _is_named(text: str) -> bool:
    """`a=FILE`, but neither a file of that name nor a spec whose options have equal signs."""
    return bool(re.match(r"[\w.+-]+=", text)) and not Path(text).exists()


def source(text: str) -> Place | Given:
    """A file or folder, also by its URL, `BASE+ADAPTER` for weights with a LoRA adapter added, or a spec like
    torchvision:resnet18."""
    if "://" in text:
        return place(text)
    path = Path(text)
    if path.exists():
        return path
    base, plus, adapter = text.rpartition("+")
    if plus and Path(adapter).is_dir():
        from transfuse.source.adapted import AdaptedReader

        under = opened(source(base))
        return Given(AdaptedReader(under.reader, Path(adapter)), (*under.files, Path(adapter)), text)
    if text.partition(":")[0] in shelf(ADAPTERS):
        return _built(text)
    if re.fullmatch(r"[\d.,]+", text):
        raise UserError("a number is no checkpoint", got=text, hint="all weights are one word: --weights 0.5,0.5")
    if text.removeprefix("weights/") in shelf("fusion/weights"):
        raise UserError("the method comes first, then what is merged", got=text, hint=f"transfuse merge {text} A B ...")
    return path


def _built(text: str) -> Given:
    """The weights of a network that a package builds; files that its spec names are its files."""
    from transfuse.source.spec import parse
    from transfuse.source.weights import StateReader

    spec = parse(text)
    adapter = registry.find(ADAPTERS, spec.scheme).load()
    built = adapter.build(spec, Path.cwd())
    return Given(StateReader(built.module.state_dict(), text), tuple(adapter.files(spec, Path.cwd())), text)


def numbers(text: str | None) -> list[float] | None:
    """`0.5,0.5` as numbers."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError("weights are numbers with commas between", expected="0.5,0.5", got=text) from error


def parameters(entry: Entry, given: Sequence[str]) -> dict[str, Any]:
    """`key=value` words as the settings that the method declares; it checks names and ranges itself."""
    from transfuse.doors.mergekit import check_words

    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            known = ", ".join(f"{each}=…" for each in entry.parameters) or f"{entry.full_name} has none"
            raise UserError("a parameter is key=value", expected=known, got=text)
        check_words(entry, [name])
        declared = entry.parameters.get(name)
        found[name] = value if declared is None else _value(declared, value)
    return found


def _value(declared: Parameter, text: str) -> Any:
    """The text as what the parameter asks for; what cannot be read stays text, and the method refuses it by name."""
    if text.lower() in WORDS and declared.type != "str":
        return WORDS[text.lower()]
    try:
        return {"int": int, "float": float}.get(declared.type, str)(text)
    except ValueError:
        return text
