"""The laws of compressing: without them a method could change what it was given, forget a branch, call zeros small."""

from __future__ import annotations

import copy
import functools
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transfuse.compress import Rows, rows_of
from transfuse.compress._lift import compressed, stored_bytes
from transfuse.errors import UserError
from transfuse.fusion import saved
from transfuse.fusion.checks.law import Family, quiet, require, require_refused, require_same, variants
from transfuse.fusion.checks.suite import Check, Result
from transfuse.fusion.checks.suite import check as check_family
from transfuse.fusion.checks.suite import checks_for as checks_of_family
from transfuse.fusion.connect import connect
from transfuse.fusion.fused import Fused
from transfuse.fusion.graphed import Graphed
from transfuse.fusion.lowered import Lowered
from transfuse.fusion.pooled import Pool
from transfuse.fusion.rounded import Rounded
from transfuse.registry import Entry
from transfuse.source.base import Source
from transfuse.source.open import make_card, open_source

NAMES, CLASSES, SIDE = ("residual", "depthwise"), ("a", "b", "c"), 12
ROWS = 12
# Two ways of running one graph may round apart.
ALIKE = 1e-4
# How far along the gradient a network is moved.
STEP = 1e-3


def checks_for(entry: Entry) -> list[Check]:
    """Every law that a compression must keep."""
    return checks_of_family(entry, COMPRESS)


def check(entry: Entry) -> list[Result]:
    """Run all checks of a compression; a broken law or any fault of it is a result, not an exception."""
    return check_family(entry, COMPRESS)


@functools.cache
def _sources() -> dict[str, Source]:
    cards = {name: make_card(name, f"demo:{name}", root=Path(), canvas=SIDE) for name in NAMES}
    return {name: open_source(card, root=Path()) for name, card in cards.items()}


def example(members: int = 2) -> Fused:
    """A gated fusion of small sources that knows something: its head is no longer zero, its joints are settled."""
    sources = {name: copy.deepcopy(_sources()[name]) for name in NAMES[:members]}
    made = connect("features/gate", sources, None, CLASSES)
    canvas, targets = _images(0)
    made.settle(canvas, targets)
    with torch.no_grad():
        made.crown.head.weight.copy_(torch.linspace(-1, 1, made.crown.head.weight.numel()).reshape(len(CLASSES), -1))
    return made.eval()


def _images(draw: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(draw)
    # Coarse pictures: noise from pixel to pixel would average out.
    small = torch.rand(ROWS, 1, 4, 4, generator=rng)
    canvas = torch.nn.functional.interpolate(small, SIDE, mode="bilinear").expand(-1, 3, -1, -1).contiguous()
    return canvas, torch.randint(0, len(CLASSES), (ROWS,), generator=rng)


def example_rows() -> Rows:
    """Training rows for them."""
    return rows_of(*_images(0), batch=8)


@dataclass(frozen=True)
class _Made:
    """The example compressed once, and what that did to what was given."""

    model: Source
    changed: tuple[str, ...]


_MADE: dict[tuple[Any, ...], _Made] = {}


def made(entry: Entry, settings: Mapping[str, Any] | None = None) -> _Made:
    """The example compressed; the same one is not compressed twice."""
    key = entry.digest, tuple(sorted(entry.settings(settings or {}).items()))
    if key not in _MADE:
        model, (canvas, targets) = example(), _images(0)
        state = {name: value.clone() for name, value in model.state_dict().items()}
        found = compressed(entry, model, rows_of(canvas, targets, batch=8), settings or {}).model
        changed = [name for name, value in model.state_dict().items() if not torch.equal(value, state[name])]
        same = torch.equal(canvas, _images(0)[0]) and torch.equal(targets, _images(0)[1])
        _MADE[key] = _Made(found, (*changed, *([] if same else ["the rows"])))
    return _MADE[key]


def made_of(entry: Entry, settings: Mapping[str, Any] | None = None) -> Source:
    """The compressed example itself."""
    return made(entry, settings).model


def _compressed(entry: Entry) -> Source:
    return compressed(entry, example(), example_rows(), {}).model


def _answers(model: Source, canvas: Tensor) -> Tensor:
    with torch.no_grad():
        return model.eval()(canvas)


def answers(entry: Entry) -> None:
    """It answers for the same classes with finite logits, for one image and for many, at any setting."""
    canvas = _images(1)[0]
    for settings in variants(entry):
        found = _answers(made_of(entry, settings), canvas)
        require(found.shape == (ROWS, len(CLASSES)), f"logits {list(found.shape)} at {settings}")
        require(bool(found.isfinite().all()), f"NaN or infinity at {settings}")
        require(float(found.std(dim=0).max()) > 0, f"every image gets the same answer at {settings}")


def rows_alone(entry: Entry) -> None:
    """A row's answer does not depend on its batch."""
    canvas, model = _images(1)[0], made_of(entry)
    alone = torch.cat([_answers(model, canvas[row : row + 1]) for row in range(4)])
    require_same(alone, _answers(model, canvas)[:4], "one image at a time", ALIKE)


def given_stays(entry: Entry) -> None:
    """The network that is given, and the rows, stay as they are."""
    changed = made(entry).changed
    require(not changed, f"changed: {', '.join(changed[:3])}")


def again(entry: Entry) -> None:
    """Compressing again gives the same answers, and moves no global random state."""
    canvas = _images(1)[0]
    with quiet("compressing"):
        found = _answers(_compressed(entry), canvas)
    require_same(found, _answers(made_of(entry), canvas), "compressed again", 0.0)


def each_branch(entry: Entry) -> None:
    """If it is said to be smaller, every branch is: none is forgotten."""
    found, before = made_of(entry), example()
    if not entry.traits.get("smaller"):
        return
    require(stored_bytes(found) < stored_bytes(before), f"{stored_bytes(found)} bytes, before {stored_bytes(before)}")
    if isinstance(found, Graphed):
        return
    inner: Any = found.source if isinstance(found, Lowered | Rounded) else found
    gone = [name for name in before.names if name not in inner.names]
    for name in inner.names if not gone else ():
        size, was = stored_bytes(inner.member(name)), stored_bytes(before.member(name))
        require(size < was, f"the branch '{name}' has {size} bytes, before {was}")


def near(entry: Entry) -> None:
    """Where the answers must stay, those of new images stay too."""
    limit = entry.traits.get("near")
    if limit is None:
        return
    canvas = _images(1)[0]
    wanted, found = _answers(example(), canvas), _answers(made_of(entry), canvas)
    moved = float((found - wanted).square().mean().sqrt() / wanted.square().mean().sqrt())
    require(moved <= limit, f"logits moved by {moved:.3g} of their size, allowed {limit:g}")


def without_rows(entry: Entry) -> None:
    """Without any rows it gives the same as with them, or says that there is nothing to calibrate on."""
    try:
        found = compressed(entry, example(), Rows(SIDE), {}).model
    except UserError as error:
        require("calibrate" in str(error), f"the message does not speak of calibrating: {error}")
        require("rows" in entry.needs, "it needs rows, so NEEDS must name them")
        return
    canvas = _images(1)[0]
    require_same(_answers(found, canvas), _answers(made_of(entry), canvas), "without rows", ALIKE)


def kept(entry: Entry) -> None:
    """Saved and loaded it answers the same, from a description and tensors alone."""
    found, canvas = made_of(entry), _images(1)[0]
    with tempfile.TemporaryDirectory() as folder:
        saved.save(found, Path(folder))
        loaded = saved.load(Path(folder))
    require_same(_answers(loaded, canvas), _answers(found, canvas), "saved and loaded", ALIKE)


def refuses(entry: Entry) -> None:
    """A pool of predictions is refused, and so is what is quantised or in bfloat16 already."""
    pool = Pool("pool", [example(), example()], "outputs/mean_prob", {})
    require_refused(lambda: compressed(entry, pool, example_rows(), {}), "pool", case="a pool")
    low = Lowered(example())
    require_refused(lambda: compressed(entry, low, example_rows(), {}), "bfloat16", case="bfloat16")


def learns(entry: Entry) -> None:
    """A gradient reaches every branch that is left, and one step along it lowers the loss."""
    found: Any = copy.deepcopy(made_of(entry))
    canvas, targets = _images(0)
    loss = torch.nn.functional.cross_entropy(found(canvas), targets)
    loss.backward()
    for name in found.names:
        reached = [each for each in found.member(name).parameters() if each.grad is not None and bool(each.grad.any())]
        require(bool(reached), f"no gradient reaches the branch '{name}'")
    felt = [each for each in found.parameters() if each.grad is not None]
    length = torch.cat([each.grad.flatten() for each in felt]).norm()
    before = float(loss.detach())
    with torch.no_grad():
        for each in felt:
            each -= STEP / length * each.grad
        after = float(torch.nn.functional.cross_entropy(found(canvas), targets))
    require(after < before, f"the loss goes from {before:.6f} to {after:.6f}")


def fewer(entry: Entry) -> None:
    """It stores fewer bytes than it was given."""
    size, before = stored_bytes(made_of(entry)), stored_bytes(example())
    require(size < before, f"{size} bytes, before {before}")


def lighter(entry: Entry) -> None:
    """It runs fewer weights, or the same ones in fewer bits."""
    found = made_of(entry)
    count = sum(each.numel() for each in found.parameters())
    before = sum(each.numel() for each in example().parameters())
    require(isinstance(found, Graphed) or count < before, f"{count} weights, before {before}")


COMPRESS = Family(
    always=(answers, rows_alone, given_stays, again, each_branch, near, without_rows, kept, refuses),
    by_trait={"trains": (learns,), "smaller": (fewer,), "faster": (lighter,)},
    two_sided=frozenset({"smaller"}),
    use=lambda entry, settings: compressed(entry, example(), example_rows(), settings),
    maker="compress",
    given=2,
)
