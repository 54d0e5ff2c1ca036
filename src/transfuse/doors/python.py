"""The verbs in Python: compare, choose, fuse, merge, evaluate, load; each is useful without the rest.

`compare` does the whole job and gives a Study, `choose` a look beforehand. `fuse` gives a plain `nn.Module` for your
own loop. `merge` gives back the kind it was given. `evaluate` judges predictions that you made. `load` opens a run
folder or a saved model.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfuse.doors.study import Study, nothing_here
from transfuse.errors import UserError
from transfuse.folder import DESCRIPTION, Folder
from transfuse.kinds import kind_of
from transfuse.registry import method as find_method

if TYPE_CHECKING:
    from torch import nn

    from transfuse.fusion.fused import Fused
    from transfuse.plan.recipe import Recipe
    from transfuse.source.base import Source
    from transfuse.types import TaskKind

Sources = Mapping[str, Any] | Sequence[Any]


def compare(sources: Sources, data: Any, *, out: str | Path | None = None, **recipe: Any) -> Study:
    """The whole job: which of these sources, alone or fused, to ship for this data, with the evidence.

    `sources`: specs (`torchvision:resnet18`) or `nn.Module`s, as a list or {name: source}; {"spec": module,
    "seen": ids} is a network that you have just trained on some of these very items. `data`: what stands under
    `data:` in a recipe, `(images, labels)` as arrays or nested lists of numbers, or a torch Dataset. `recipe`: any
    other key of a recipe, e.g. `ladder="standard"`, `seeds=3`, `budget={"train": "20min"}`. Without `out` the results
    stay in a temporary folder.
    """
    from transfuse.run.run import Request, run

    checked, modules = _asked(sources, {"data": data, **recipe}, "compare(...)")
    folder = Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="transfuse-"))
    outcome = run(Request(checked, Path.cwd(), folder, modules=modules))
    return Study.of_folder(outcome.folder.path)


def choose(
    sources: Sources,
    data: Any,
    *,
    out: str | Path | None = None,
    all_scores: bool = False,
    rows: int = 5000,
    **recipe: Any,
) -> Study:
    """Which source, which pair, and whether a second model is worth it, from frozen features; no test row is read.

    Arguments are those of `compare`; `all_scores` adds the scores that are not asked by default, `rows` is how many
    rows are looked at at most. Features are kept in the store: a later `compare` of these sources takes them there.
    """
    from transfuse.run.choosing import Asked
    from transfuse.run.choosing import choose as look
    from transfuse.run.run import Request

    checked, modules = _asked(sources, {"data": data, **recipe}, "choose(...)")
    folder = Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="transfuse-"))
    asked = Asked(all_scores, rows, "transfuse.choose(...)")
    return Study.of_folder(look(Request(checked, Path.cwd(), folder, modules=modules), asked).folder.path)


def fuse(
    sources: Sources,
    method: str,
    *,
    classes: int | Sequence[str] | None = None,
    taps: Mapping[str, Any] | None = None,
    canvas: int = 224,
    seed: int = 0,
    recipient: nn.Module | None = None,
    task: TaskKind = "multiclass",
    **params: Any,
) -> Fused:
    """Connect sources into one trainable network by a method of `features/` or `structure/`.

    The result takes a canvas [N, 3, S, S] in [0, 1] and gives logits [N, C]; it is a Source and can be fused again.
    `classes` is a number or names; by default those of the first source. `taps` says what is read of which source:
    a name, several, or a function from the network to the part whose output is meant.
    `canvas` is the side at which sources are looked at. A `recipient` is your own network, which receives the sources
    and is used as it is, not copied. Train it with your own loop: `settle(images)` first puts the
    sources' blocks on one scale, `freeze("NAME.TAP")` holds parts. With
    `task="multilabel"` the logits belong to labels that may hold together; with `task="regression"` numbers come out,
    and `fused.crown.head.settle(targets)` first brings their mean and spread to those of the training targets.
    """
    from transfuse.fusion.connect import connect, connecting
    from transfuse.fusion.recipient import received
    from transfuse.reads import reads_of

    members = {} if recipient is not None and not sources else _opened(sources, canvas)
    entry = connecting(method)
    named = {name: _taps(members.get(name), name, given) for name, given in (taps or {}).items()}
    own = None if recipient is None else received(recipient, canvas=canvas)
    cards = {name: member.card for name, member in members.items()}
    reads = reads_of(entry, cards, named, None if own is None else own.card)
    first = next(iter([*members.values(), *([] if own is None else [own])])).card
    wanted: Sequence[str] = (
        [str(index) for index in range(classes)] if isinstance(classes, int) else list(classes or first.classes)
    )
    if len(wanted) < kind_of(task).least:
        raise UserError(
            f"a fusion needs its {kind_of(task).columns}", hint="classes=10, or classes=['cat', 'dog', ...]"
        )
    return connect(method, members, reads, wanted, settings=params, seed=seed, recipient=own, kind=task)


def merge(
    method: str,
    sources: Sources,
    *,
    base: Any = None,
    weights: Sequence[float] | str | None = None,
    align: str = "none",
    data: Any = None,
    **params: Any,
) -> Any:
    """Merge checkpoints of one architecture by a method of `weights/`; modules give a module, state dicts a state dict.

    Sources are never changed. Integer tensors (BatchNorm counters) keep the largest. `weights` has one number a source,
    or is `adamerging`: the numbers are then learned from `data`, without labels.
    `align` names a way of bringing hidden units into one order first, e.g. `weight_matching`. `data` are images as the
    networks take them, a tensor [N, ...] or several: BatchNorm's statistics are then estimated anew, and methods that
    need to know something of the members' data (Fisher, RegMean) collect it there.
    """
    from transfuse.doors.merged import Wanted, merged
    from transfuse.doors.mergekit import check_words

    entry = find_method(method)
    if entry.shelf != "fusion/weights":
        raise UserError(
            f"{method} does not merge weights", expected="a method of weights/", hint="fuse(...) connects networks"
        )
    check_words(entry, params)
    return merged(entry, dict(_named(sources)), Wanted(base, weights, align, data, entry.settings(params)))


def evaluate(
    predictions: Any,
    labels: Any = None,
    *,
    candidate: str | None = None,
    versus: str | Sequence[str] | None = None,
    groups: Any = None,
    margin: str | float = "auto",
    scale: Any = None,
    direction: Any = "higher",
    **task: Any,
) -> Study:
    """Judge predictions from anywhere: {name: array [N, C] or file}, labels as array or file; no model is needed.

    `task`: `kind="multilabel"` (labels [N, C] of 0 and 1, or a CSV with one column a label) or `kind="regression"`
    (numbers [N] or [N, T]); `metric="brier"`, `also=["accuracy"]`; `metrics={"cost": function}` for functions
    `(targets, scores) -> float` of your own, each with `function.direction = "lower"` or as `(function, "lower")`.
    """
    from transfuse.doors.study import judged

    asked = {"candidate": candidate, "versus": versus, "groups": groups, "margin": margin, **task}
    return judged(predictions, labels, scale=scale, direction=direction, **asked)


def load(path: str | Path, *, modules: Mapping[str, nn.Module] | None = None) -> Study | Source:
    """A Study for a run folder, a Source for a saved model (`DIR/models/ARM`)."""
    folder = Path(path)
    if Folder(folder).evidence.is_file():
        return Study.of_folder(folder)
    if (folder / DESCRIPTION).is_file():
        from transfuse.fusion.saved import load as load_model

        return load_model(folder, modules=modules)
    raise nothing_here(folder)


def _taps(member: Any, name: str, given: Any) -> list[str]:
    """Tap names as given; a function of the network is asked for the part it points at."""
    if isinstance(given, str) or callable(given):
        given = [given]
    found = []
    for one in given:
        if not callable(one):
            found.append(str(one))
            continue
        network = getattr(member, "network", member)
        part = one(network)
        paths = [path for path, module in network.named_modules() if module is part and path] if network else []
        if not paths:
            raise UserError(
                "this function points at no part of its source", where=f"taps, '{name}'", got=repr(part)[:80]
            )
        found.append(paths[0])
    return found


def _asked(sources: Sources, recipe: Mapping[str, Any], where: str) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of these sources, and the modules among them, which it names; either may have `seen` and the like
    beside it."""
    from transfuse.data.in_memory import in_arrays
    from transfuse.plan.recipe import validated
    from transfuse.reads import RECIPIENT

    entries: dict[str, Any] = {}
    modules: dict[str, Any] = {}
    for name, entry in _named(sources).items():
        more = dict(entry) if isinstance(entry, Mapping) else {"spec": entry}
        if not isinstance(more.get("spec"), str | None):
            modules[name] = _network(name, more["spec"])
            more["spec"] = f"module:{name}"
        entries[name] = more
    own = recipe.get(RECIPIENT)
    if own is not None and not isinstance(own, str | dict):
        modules[RECIPIENT] = _network(RECIPIENT, own)
        recipe = {**recipe, RECIPIENT: f"module:{RECIPIENT}"}
    given = {**recipe, "data": in_arrays(recipe.get("data"))}
    return validated({"sources": entries, **given}, where=where), modules


def _named(sources: Sources) -> dict[str, Any]:
    from transfuse.plan.recipe import short_name

    if isinstance(sources, Mapping):
        return {str(name): entry for name, entry in sources.items()}
    if isinstance(sources, str) or not isinstance(sources, Sequence):
        raise UserError("sources come as a list or as {name: source}", got=type(sources).__name__)
    named = {short_name(entry, index): entry for index, entry in enumerate(sources)}
    if len(named) != len(sources):
        raise UserError("two sources would have the same name", hint="give names: {'a': source, 'b': source}")
    return named


def _network(name: str, given: Any) -> nn.Module:
    """A network that was given in Python. Raises UserError for a class, a function, and whatever else is none."""
    from torch import nn

    if isinstance(given, nn.Module):
        return given
    is_class = isinstance(given, type)
    raise UserError(
        f"source '{name}' is no network",
        expected="a spec such as torchvision:resnet18, or an nn.Module",
        got=f"the class {given.__name__}" if is_class else type(given).__name__,
        hint=f"{given.__name__}(...), an instance of it" if is_class else None,
    )


def _opened(sources: Sources, canvas: int) -> dict[str, Source]:
    from transfuse.source.base import Source
    from transfuse.source.open import make_card, open_source

    opened: dict[str, Source] = {}
    for name, entry in _named(sources).items():
        if isinstance(entry, Source):
            opened[name] = entry
            continue
        module = None if isinstance(entry, str) else _network(name, entry)
        card = make_card(name, entry if module is None else module, root=Path.cwd(), canvas=canvas)
        opened[name] = open_source(card, root=Path.cwd(), module=module)
    if not opened:
        raise UserError("nothing to fuse", expected="at least one source")
    return opened
