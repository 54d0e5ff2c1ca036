"""Without this file, networks whose code follows no fixed graph could not be divided at all.

A stretch runs by hooks: the block is put in the place of what the network computes at its beginning, modules that were
done before are skipped, and the pass ends at the last tap. What crosses the beginning is found by trying: with noise in
the place of a skipped module, or of the images, the result must stay the same.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from transfuse.errors import UserError, many_problems
from transfuse.source.taps import Call, main_tensor, still, watched
from transfuse.types import Tap

IMAGES = "the network's input"


class _EnoughError(Exception):
    """Raised by the last hook, so that what follows the stretch is not computed."""


class Hooked(nn.Module):
    """A stretch of a network by hooks: raw block (or prepared images, where `begin` is None) in, raw block out.

    `skipped` are modules done before the beginning, with what they once gave; they give zeros of that shape, or noise
    while they are in `noisy`. `image` [1, C, S, S] stands for images that nothing after the beginning depends on.
    """

    image: Tensor

    def __init__(
        self, network: nn.Module, begin: Tap | None, end: Tap, skipped: Mapping[str, Tensor], image: Tensor
    ) -> None:
        super().__init__()
        self.network = network
        self.begin, self.end = begin, end
        self.skipped = dict(skipped)
        self.noisy: set[str] = set()
        self.register_buffer("image", image, persistent=False)

    def forward(self, block: Tensor) -> Tensor:
        kept: list[Tensor] = []
        modules = dict(self.network.named_modules())
        handles = self._enter(modules, block) + self._leave(modules, kept)
        given = block if self.begin is None else self._filled(IMAGES, self.image, len(block))
        try:
            with self._without(modules, len(block)):
                output = main_tensor(self.network(given))
        except _EnoughError:
            output = kept[0]
        finally:
            for handle in handles:
                handle.remove()
        if output is None:
            raise UserError("this part of a network gives no single tensor")
        return output

    def _enter(self, modules: Mapping[str, nn.Module], block: Tensor) -> list[Any]:
        if self.begin is None:
            return []
        place = modules[self.begin.place]
        if self.begin.side == "input":
            return [place.register_forward_pre_hook(lambda module, inputs: (block, *inputs[1:]))]
        return [place.register_forward_hook(lambda module, inputs, output: _exchanged(output, block), prepend=True)]

    def _leave(self, modules: Mapping[str, nn.Module], kept: list[Tensor]) -> list[Any]:
        if not self.end.place:
            return []

        def stop(value: Any) -> None:
            found = main_tensor(value)
            if found is not None:
                kept.append(found)
                raise _EnoughError

        place = modules[self.end.place]
        if self.end.side == "input":
            return [place.register_forward_pre_hook(lambda module, inputs: stop(inputs[0]))]
        return [place.register_forward_hook(lambda module, inputs, output: stop(output))]

    def _filled(self, path: str, like: Tensor, rows: int) -> Tensor:
        """Zeros [rows, ...] of this shape, or noise that no normalisation cancels."""
        shape = (1, *like.shape[1:])
        if path not in self.noisy:
            return like.new_zeros(shape).expand(rows, *shape[1:]).clone()
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        return noise.to(like).expand(rows, *shape[1:]).clone()

    @contextlib.contextmanager
    def _without(self, modules: Mapping[str, nn.Module], rows: int) -> Iterator[None]:
        """Inside, the skipped modules compute nothing."""
        before = {path: modules[path].__dict__.get("forward") for path in self.skipped}
        for path, like in self.skipped.items():
            modules[path].forward = lambda *inputs, path=path, like=like, **more: self._filled(path, like, rows)
        try:
            yield
        finally:
            for path, own in before.items():
                if own is None:
                    del modules[path].__dict__["forward"]
                else:
                    modules[path].forward = own


def _exchanged(output: Any, block: Tensor) -> Any:
    """A module's output with its one main tensor exchanged."""
    main = main_tensor(output)
    if output is main:
        return block
    if isinstance(output, tuple):
        return tuple(block if part is main else part for part in output)
    if isinstance(output, dict):
        # Of its own type: some mappings can be asked by place too.
        return type(output)(**{name: block if part is main else part for name, part in output.items()})
    raise UserError("nothing can be put in the place of such an output", got=type(output).__name__)


def by_hooks(network: nn.Module, images: Tensor, begin: Tap | None, end: Tap, *, where: str) -> Hooked:
    """The stretch from `begin` to `end`, tried on prepared `images`.

    Raises UserError naming the crossing values where more than one crosses the beginning, and where the end does not
    follow from it.
    """
    if begin is None:
        return Hooked(network, None, end, {}, images[:1])
    if not begin.place:
        raise UserError(f"nothing leads on from '{begin.name}'", where=where)
    with still(network), torch.no_grad(), watched(network) as calls:
        network(images)
    if end.place and _moment(calls, end) <= _moment(calls, begin):
        raise _unled(begin, end, where)
    made = Hooked(network, begin, end, _finished(calls, begin), images[:1])
    values = {call.path: call.left if begin.side == "output" else call.entered for call in calls}
    with still(network), torch.no_grad():
        _require_one_value(made, values[begin.place], where)
    return made


def _finished(calls: list[Call], begin: Tap) -> dict[str, Tensor]:
    """{path: what it gave} for the outermost modules that ran once, gave one tensor and were done at the beginning."""
    limit = _moment(calls, begin)
    count = Counter(call.path for call in calls)
    done = {
        call.path: call.left
        for call in calls
        if call.path and 0 <= call.end < limit and call.left is not None and count[call.path] == 1
    }
    inside = {path for path in done if any(path.startswith(f"{other}.") for other in done)}
    return {path: value for path, value in done.items() if path not in inside}


def _moment(calls: list[Call], tap: Tap) -> int:
    """When the tap is read."""
    place = next(call for call in calls if call.path == tap.place)
    return place.start if tap.side == "input" else place.end


def _unled(begin: Tap, end: Tap, where: str) -> UserError:
    return UserError(f"'{end.name}' does not follow from '{begin.name}'", where=where, hint="name an earlier tap")


def _require_one_value(made: Hooked, value: Tensor | None, where: str) -> None:
    """Raises UserError where the result depends on more than the block at the beginning, or not on the block."""
    if value is None or made.begin is None:
        raise UserError("no cut at a place that gives no single tensor", where=where)
    plain = made(value.clone())
    crossing = []
    for path in [*made.skipped, IMAGES]:
        made.noisy = {path}
        if not torch.equal(made(value.clone()), plain):
            crossing.append(path)
    made.noisy = set()
    name = made.begin.name
    if crossing:
        raise many_problems(f"no cut at '{name}': these values cross there", sorted([name, *crossing]), where=where)
    if torch.equal(made(torch.zeros_like(value)), plain) and bool(value.any()):
        raise _unled(made.begin, made.end, where)
