"""A model on disk: `model.json` says how it is built, `model.safetensors` holds every tensor; no code is stored.

Loading builds the members' architectures without their packages' weights and fills them from the file. A member that
was given in Python can only be built by its maker, so it must be given again.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from transfuse.errors import UserError
from transfuse.fields import IMAGE, parts
from transfuse.files.texts import json_object
from transfuse.files.weights import load_safetensors, safetensors_header
from transfuse.folder import DESCRIPTION, TENSORS
from transfuse.fusion.connect import connecting, crown
from transfuse.fusion.fused import Fused
from transfuse.fusion.graphed import Graphed
from transfuse.fusion.lowered import Lowered
from transfuse.fusion.parts import Opened
from transfuse.fusion.pooled import Narrowed, Pool
from transfuse.fusion.rounded import Rounded
from transfuse.fusion.viewed import Viewed
from transfuse.jsonio import file_digest, plain, pretty
from transfuse.kinds import kind_of
from transfuse.reads import Read, pools
from transfuse.source.base import Source
from transfuse.source.blank import blank_source
from transfuse.source.carried import copy_files, moved_card
from transfuse.source.open import open_source
from transfuse.source.shrunk import is_shrunk, shrink
from transfuse.source.spec import carries, parse
from transfuse.source.weights import fill
from transfuse.store import write_bytes, write_text
from transfuse.types import Card

SCHEMA = "transfuse/model/1"
KINDS = ("source", "narrowed", "pool", "fused", "lowered", "rounded", "viewed", "graph")
# What a description that was not written by `save` can run into while a model is built of it.
NOT_A_MODEL = (AttributeError, IndexError, KeyError, RecursionError, RuntimeError, TypeError, ValueError)


def save(model: Source, folder: Path, *, facts: Mapping[str, Any] | None = None) -> None:
    """Write a model; `facts` (the canvas, where it came from) go into its description."""
    from safetensors.torch import save as to_bytes

    description = describe(model)
    state = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / TENSORS, to_bytes(state))
    copy_files(model, folder)
    record = {
        "schema": SCHEMA,
        "temperature": model.temperature,
        "model": description,
        "sha256": file_digest(folder / TENSORS),
        **({"shrunk": True} if is_shrunk(model) else {}),
        **_task(model),
        **(facts or {}),
    }
    write_text(folder / DESCRIPTION, pretty(record))


def describe(model: nn.Module, card_of: Callable[[Source], Card] = moved_card) -> dict[str, Any]:
    """How a model is built, as plain values; `card_of` says how a source's card reads where it will be built."""
    if isinstance(model, Lowered | Rounded):
        kind = "lowered" if isinstance(model, Lowered) else "rounded"
        return {"kind": kind, "source": describe(model.source, card_of)}
    if isinstance(model, Viewed):
        views = {"reach": model.reach, "mirror": model.mirror}
        return {"kind": "viewed", **views, "source": describe(model.source, card_of)}
    if isinstance(model, Graphed):
        return {"kind": "graph", "card": model.card.record(), "bytes": model.graph.numel()}
    if isinstance(model, Fused):
        members = [[name, describe(model.member(name), card_of)] for name in model.names]
        body = {"method": model.crown.method, "settings": model.crown.settings, "classes": list(model.crown.classes)}
        own = {} if model.recipient is None else {"recipient": describe(model.recipient, card_of)}
        if model.crown.passes:
            left_out = {"branch": model.crown.dropping.branch, "feature": model.crown.dropping.feature}
            own["monte_carlo"] = {"passes": model.crown.passes, **left_out}
        own |= {"absent": [card.record() for card in model.absent.values()]} if model.absent else {}
        return {
            "kind": "fused",
            "name": model.card.name,
            "reads": plain(model.reads),
            "members": members,
            **body,
            **own,
            **_task(model),
        }
    if isinstance(model, Pool):
        state = {name: array.tolist() for name, array in model.state.items()}
        members = [describe(member, card_of) for member in model.members]
        made = {"kind": "pool", "name": model.card.name, "method": model.method, "state": state, "members": members}
        return made | _task(model)
    if isinstance(model, Narrowed):
        made = {"kind": "narrowed", "classes": list(model.card.classes), "source": describe(model.source, card_of)}
        made |= {} if model.grouping is None else {"columns": model.grouping}
        return made | ({} if model.opening is None else {"opening": model.opening.tolist()})
    if isinstance(model, Source):
        return {"kind": "source", "card": card_of(model).record()}
    raise UserError("only sources and what is fused of them can be saved", got=type(model).__name__)


def _task(model: Source) -> dict[str, str]:
    """The kind of task, where it is not multiclass."""
    return {} if model.kind == "multiclass" else {"task": model.kind}


def load(folder: Path, *, modules: Mapping[str, nn.Module] | None = None) -> Source:
    """The model of a folder, in evaluation mode. Raises UserError where a file is missing, changed or does not fit.

    `modules` are the members that were given in Python, by name; they are copied and filled from the file. What was
    saved with its canvas takes images of that size alone.
    """
    record = read(folder)
    tensors = folder / TENSORS
    found = file_digest(tensors) if tensors.is_file() else "no such file"
    if found != record.get("sha256"):
        raise UserError(
            "the model's tensors are not those it was saved with",
            where=str(tensors),
            expected=str(record.get("sha256")),
            got=found,
        )
    try:
        model = build(record["model"], folder, modules or {})
        if record.get("shrunk"):
            stored = safetensors_header(tensors).tensors
            shrink(model, {name: tensor.shape for name, tensor in stored.items()}, str(tensors))
        model.temperature = _positive(record["temperature"])
        model.kind = kind_of(record.get("task", "multiclass")).name
        if IMAGE in parts(model.card.field) and type(record.get("canvas")) is int:
            model.canvas = record["canvas"]
    except NOT_A_MODEL as error:
        raise UserError(
            "this description is not one of a saved model",
            where=str(folder / DESCRIPTION),
            got=f"{type(error).__name__}: {error}"[:200],
        ) from error
    fill(model, load_safetensors(tensors), str(tensors))
    return model.eval()


def _positive(value: Any) -> float:
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"the temperature is {number}")
    return number


def read(folder: Path) -> dict[str, Any]:
    """A saved model's description."""
    path = folder / DESCRIPTION
    record = json_object(path, "there is no saved model here", hint=f"a folder with {DESCRIPTION} and {TENSORS}")
    if record.get("schema") != SCHEMA:
        raise UserError("this is not a model that can be read here", where=str(path), expected=SCHEMA)
    return record


def build(record: Mapping[str, Any], folder: Path, modules: Mapping[str, nn.Module]) -> Source:
    """A model of this description with fresh weights."""
    kind = record["kind"]
    if kind not in KINDS:
        raise ValueError(f"the kind of a part is {kind!r}")
    if kind == "source":
        return _blank(Card.from_record(record["card"]), folder, modules)
    if kind == "narrowed":
        source, opening = build(record["source"], folder, modules), record.get("opening")
        given = None if opening is None else np.asarray(opening, dtype=np.float64)
        return Narrowed(source, record["classes"], record.get("columns"), given)
    if kind == "pool":
        state = {name: np.asarray(values) for name, values in record["state"].items()}
        members = [build(member, folder, modules) for member in record["members"]]
        return Pool(record["name"], members, record["method"], state, record.get("task", "multiclass"))
    if kind in ("lowered", "rounded"):
        return (Lowered if kind == "lowered" else Rounded)(build(record["source"], folder, modules))
    if kind == "viewed":
        source = build(record["source"], folder, modules)
        return Viewed(source, float(record["reach"]), bool(record["mirror"]))
    if kind == "graph":
        return Graphed.blank(Card.from_record(record["card"]), int(record["bytes"]))
    members = {name: build(member, folder, modules) for name, member in record["members"]}
    reads = [Read(**read) for read in record["reads"]]
    left_out = [Card.from_record(card) for card in record.get("absent", ())]
    absent = {card.name: card for card in left_out}
    cards = {name: member.card for name, member in members.items()} | absent
    own = record.get("recipient")
    recipient = None if own is None else build(own, folder, modules)
    facts: dict[str, Any] = {"settings": record["settings"], "parts": Opened(members, recipient)}
    facts["kind"] = kind_of(record.get("task", "multiclass")).name
    top = crown(record["method"], cards, reads, record["classes"], **facts)
    if "monte_carlo" in record:
        chance = record["monte_carlo"]
        top.drop(branch=float(chance["branch"]), feature=float(chance["feature"]), passes=int(chance["passes"]))
    pool = pools(connecting(record["method"]))
    return Fused(record["name"], members, reads, top, pool=pool, recipient=recipient, absent=absent)


def _blank(card: Card, folder: Path, modules: Mapping[str, nn.Module]) -> Source:
    if carries(parse(card.spec)):
        return open_source(card, root=folder)
    if card.origin != "module" and not (card.origin == "factory" and card.name in modules):
        return blank_source(card, root=folder)
    if card.name not in modules:
        raise UserError(
            f"member '{card.name}' was given in Python and must be given again",
            where=str(folder),
            hint=f"load(path, modules={{'{card.name}': module}})",
        )
    return Source(card, copy.deepcopy(modules[card.name])).eval()
