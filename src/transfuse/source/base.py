"""Without this file, a pretrained model would be a module that one must know; a Source is a module one can just ask.

`forward(batch)` gives logits like any network, `forward(batch, taps)` gives all blocks asked for in one pass. A fused
network is a Source too: it overrides `blocks`, and has its own card.

Traps closed here: a tapped tensor that a later layer changes in place (copied, or refused where the card did not know);
BatchNorm and dropout of a frozen part that a later `train()` would wake; a cut where other values cross.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, fx, nn

from transfuse.errors import UserError
from transfuse.source.door import block_of, example, preparation, raw_of, require_canvas
from transfuse.source.taps import main_tensor, still, watched
from transfuse.source.trace import divide, trace
from transfuse.source.weights import StateReader
from transfuse.types import Card, Tap, TaskKind

# A cut is tried on images of this side where any size goes; more than this share of the largest logit is a difference.
CUT_SIDE, CUT_TOLERANCE = 96, 1e-4


class _EnoughError(Exception):
    """Raised by the last hook when every tap is read."""


class HeldModule(nn.Module):
    """A module whose frozen parts stay in evaluation mode whatever `train()` says."""

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.modules():
            if getattr(module, "held", False):
                module.training = False
        return self


def hold(modules: Sequence[nn.Module]) -> None:
    """Freeze these modules with all they contain: parameters, statistics and dropout.

    The mark is on the modules themselves, so it survives copies, pickling, and being part of another network.
    """
    for module in modules:
        for part in module.modules():
            part.held = True  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
            part.training = False
        module.requires_grad_(False)


class Source(HeldModule):
    """A pretrained model behind one door.

    `card` says what is known of it; `network` is the model itself, untouched: prepared images in, logits out.
    `temperature` divides its logits where probabilities are asked for; `kind` is the kind of task that it answers;
    `files` are those without which nobody could build it again; `canvas` is the only side of images that a call takes,
    where a run trained it at one.
    """

    temperature: float = 1.0
    canvas: int | None = None
    files: tuple[Any, ...] = ()
    kind: TaskKind = "multiclass"

    def __init__(self, card: Card, network: nn.Module) -> None:
        super().__init__()
        self.card = card
        self.network = network
        self.preparation = preparation(card, network)

    @property
    def where(self) -> str:
        """How messages name this source."""
        return f"source '{self.card.name}' ({self.card.spec})"

    def forward(
        self, batch: Tensor | Mapping[str, Any], taps: Sequence[str] | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Logits [N, C]; or, with taps, {tap: block} from one pass.

        `batch` is a canvas [N, 3, S, S] in [0, 1], or a mapping that has it as `image`; of texts a list of strings, or
        their bytes [N, L]. Raises UserError for an unknown tap or images that lie on no canvas, or on another than its.
        """
        require_canvas(batch, self.canvas, self.where)
        return self.blocks(batch, ("logits",))["logits"] if taps is None else self.blocks(batch, taps)

    def probabilities(self, batch: Tensor | Mapping[str, Any]) -> Tensor:
        """softmax(logits / temperature) [N, C]; of labels sigmoid(logits / temperature) of each.

        Raises UserError for a regression, whose numbers are what a plain call gives.
        """
        if self.kind == "regression":
            raise UserError(
                "a regression has no probabilities", where=self.where, hint="model(images) gives its numbers"
            )
        logits = self(batch).float() / self.temperature
        return torch.sigmoid(logits) if self.kind == "multilabel" else torch.softmax(logits, dim=1)

    def prepared(self, batch: Tensor | Mapping[str, Any]) -> Tensor:
        """The canvas as the network wants it; differentiable."""
        return self.preparation(batch)

    def blocks(self, batch: Tensor | Mapping[str, Any], taps: Sequence[str]) -> dict[str, Tensor]:
        """{tap: block} in the order asked; what only later places need is not computed."""
        wanted = [self.card.tap(name) for name in dict.fromkeys(taps)]
        if not wanted:
            return {}
        raw = _read(self.network, self.prepared(batch), wanted, self.where)
        return {tap.name: block_of(tap, raw[tap.name]) for tap in wanted}

    def freeze(self, until: str | None = None) -> None:
        """Freeze everything that runs before the tap `until` is read (None: all): parameters, statistics, dropout.

        It stays so through `train()`. What was frozen before stays frozen. Modules still running at the tap (a block
        that contains it) are not held as a whole; of their own parameters those that the tap depends on are frozen.
        """
        if until is None:
            hold([self])
            return
        tap = self.card.tap(until)
        if not tap.place:
            hold([self.network])
            return
        done, upstream = self._before(tap)
        hold(done)
        for parameter in upstream:
            parameter.requires_grad_(False)

    def behind(self, tap: str) -> tuple[list[nn.Module], list[nn.Parameter]]:
        """The modules that have ended when this tap is read, and the trainable parameters that its block depends on."""
        found = self.card.tap(tap)
        return self._before(found) if found.place else ([self.network], list(self.network.parameters()))

    def _before(self, tap: Tap) -> tuple[list[nn.Module], list[nn.Parameter]]:
        """The modules that have ended when the tap is read, and the parameters that its block depends on."""
        images = example(self.card.field, 2, self.card.prepare.size, self.preparation.here.device)  # pyright: ignore
        with still(self), torch.enable_grad(), watched(self.network) as calls:
            block = _read(self.network, self.prepared(images), [tap], self.where)[tap.name]
        last = next(call for call in calls if call.path == tap.place)
        limit = last.start if tap.side == "input" else last.end
        ended = [call.module for call in calls if 0 <= call.end <= limit]
        return ended, _parameters_behind(block, self.network)

    def leading_to(self, tap: str) -> dict[str, nn.Module]:
        """{path: module} of everything that has ended when the tap is read, in the order of the network."""
        done = {id(module) for module in self._before(self.card.tap(tap))[0]}
        return {path: module for path, module in self.named_modules() if id(module) in done}

    def cut(self, tap: str) -> tuple[nn.Module, nn.Module]:
        """(front, tail) sharing this source's parameters: front takes the canvas and gives the tap's block, tail takes
        the block and gives logits.

        Allowed where exactly one value crosses. Raises UserError naming the crossing values elsewhere, and for a tap
        that is an average (nothing leads back from it), or a network that cannot be traced.
        """
        place = self.card.tap(tap)
        if place.pooled:
            hint = "cut at 'map'" if "map" in self.card.taps else None
            raise UserError(
                f"no cut at '{tap}': it is an average, which the rest cannot use", where=self.where, hint=hint
            )
        front, tail = divide(trace(self.network, where=self.where), place, where=self.where)
        parts = Front(self.preparation, place, front), Tail(place, tail)
        for part in parts:
            part.train(self.training)
        self._require_equal(*parts, tap)
        return parts

    def _require_equal(self, front: nn.Module, tail: nn.Module, tap: str) -> None:
        """A statement that changes a value without naming it is lost in a graph; the numbers would tell."""
        side = min(self.card.prepare.size, CUT_SIDE) if self.card.flexible else self.card.prepare.size
        ramp = torch.linspace(0, 1, 3 * side * side, device=self.preparation.here.device)  # pyright: ignore
        images = torch.stack([ramp, ramp.flip(0)]).reshape(2, 3, side, side)
        with still(self), still(front), still(tail), torch.no_grad():
            whole, parts = self(images), tail(front(images))
        if not (whole - parts).abs().max() <= CUT_TOLERANCE * whole.abs().max():
            raise UserError(f"no cut at '{tap}': the parts do not compute what the whole does", where=self.where)

    def weights(self) -> StateReader:
        """The network's tensors by name, read one at a time."""
        return StateReader(self.network.state_dict(), self.where)


def _parameters_behind(block: Tensor, network: nn.Module) -> list[nn.Parameter]:
    """The trainable parameters that a block depends on, found in its gradient graph."""
    own = {id(parameter): parameter for parameter in network.parameters()}
    pending = [block.grad_fn]
    seen, found = set(), {}
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if id(variable) in own:
            found[id(variable)] = own[id(variable)]
        pending.extend(parent for parent, _ in node.next_functions)
    return list(found.values())


def _read(network: nn.Module, images: Tensor, taps: Sequence[Tap], where: str) -> dict[str, Tensor]:
    """The raw tensors at these taps from one pass, which ends as soon as all are there.

    Raises UserError where a later layer changed one in place and the card did not know, or a place was not reached.
    """
    read: dict[str, tuple[Tensor, int | None]] = {}
    whole = any(not tap.place for tap in taps)

    def keep(tap: Tap, value: Any) -> None:
        tensor = main_tensor(value)
        if tensor is None:
            raise UserError(
                f"the place of the tap '{tap.name}' gave no single tensor", where=where, got=type(value).__name__
            )
        # Inference tensors count no versions, so a change could not be seen.
        copy = tap.volatile or tensor.is_inference()
        read[tap.name] = (tensor.clone(), None) if copy else (tensor, tensor._version)
        # A tracer would lose its place; what nobody reads is no part of the exported graph anyway.
        if len(read) == len(taps) and not whole and not torch.compiler.is_exporting():
            raise _EnoughError

    handles = []
    modules = dict(network.named_modules()) if any(tap.place for tap in taps) else {}
    for tap in taps:
        if tap.place and tap.side == "input":
            hook = modules[tap.place].register_forward_pre_hook(partial(_pass_input, keep, tap))
        elif tap.place:
            hook = modules[tap.place].register_forward_hook(partial(_pass_output, keep, tap))
        else:
            continue
        handles.append(hook)
    try:
        output = network(images)
        for tap in taps:
            if not tap.place:
                keep(tap, output)
    except _EnoughError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return {tap.name: _unchanged(tap, read.get(tap.name), where) for tap in taps}


def _pass_input(keep: Callable[[Tap, Any], None], tap: Tap, module: nn.Module, inputs: tuple[Any, ...]) -> None:
    keep(tap, inputs[0])


def _pass_output(keep: Callable[[Tap, Any], None], tap: Tap, module: nn.Module, inputs: Any, output: Any) -> None:
    keep(tap, output)


def _unchanged(tap: Tap, kept: tuple[Tensor, int | None] | None, where: str) -> Tensor:
    if kept is None:
        raise UserError(f"the place of the tap '{tap.name}' was not reached", where=where, got=f"place '{tap.place}'")
    tensor, version = kept
    if version is not None and tensor._version != version:
        raise UserError(
            f"the block '{tap.name}' was changed in place after it was read, and the card did not know",
            where=where,
            hint="make the card again, or build the network without in-place layers there",
        )
    return tensor


class Front(HeldModule):
    """The part of a source before a cut: canvas in, block out."""

    def __init__(self, preparation: nn.Module, tap: Tap, part: fx.GraphModule) -> None:
        super().__init__()
        self.preparation = preparation
        self.tap = tap
        self.part = part

    def forward(self, batch: Tensor | Mapping[str, Any]) -> Tensor:
        """[N, 3, S, S] → block."""
        return block_of(self.tap, self.part(self.preparation(batch)))


class Tail(HeldModule):
    """The part of a source after a cut: block in, logits [N, C] out."""

    def __init__(self, tap: Tap, part: fx.GraphModule) -> None:
        super().__init__()
        self.tap = tap
        self.part = part

    def forward(self, block: Tensor) -> Tensor:
        """block → [N, C]; the block itself is never changed."""
        raw = raw_of(self.tap, block)
        logits = main_tensor(self.part(raw.clone() if self.tap.volatile else raw))
        if logits is None:
            raise UserError("the part after the cut gave no logits")
        return logits
