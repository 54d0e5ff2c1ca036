"""Without this file, every architecture would need a hand-written list of the places where a block can be read.

One watched forward shows every module's output; from what is seen there follow the taps: one for each module that is
called once and gives a tensor, and the aliases `logits`, `vector`, and `map` or `tokens`.

Traps closed here: a tensor that a later layer changes in place (its version counter moved after it was read; the tap is
`volatile`), maps that lie as [N, H, W, C] (Swin; the canvas is square, so the two equal sides are the plane), and a
classifier that is a 1×1 convolution over a map (SqueezeNet; its input is averaged).
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from transfuse.errors import UserError
from transfuse.source.foreign import SHOWN
from transfuse.types import Tap, TapKind

# A row alone may move by this share of what lies between rows, as 8-bit ranges that are taken anew from each batch make
# it, or by this share of the largest number, which is rounding.
TOGETHER, ROUNDING = 0.3, 1e-3
KINDS: dict[int, TapKind] = {2: "vector", 3: "tokens", 4: "map"}
MAIN_FIELDS = ("logits", "last_hidden_state", "out")


@dataclass
class Call:
    """One call of one module: when it began and ended, what went in and came out, and the versions seen then."""

    path: str
    module: nn.Module
    start: int
    entered: Tensor | None
    entered_version: int
    end: int = -1
    left: Tensor | None = None
    left_version: int = 0

    @property
    def has_parameters(self) -> bool:
        return any(True for _ in self.module.parameters())


def main_tensor(value: Any) -> Tensor | None:
    """The one obvious tensor of an output: itself, a field of a usual name, or the only one there is; else None."""
    if isinstance(value, Tensor):
        return value
    for name in MAIN_FIELDS:
        found = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
        if isinstance(found, Tensor):
            return found
    parts = (
        list(value.values()) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple | list) else []
    )
    tensors = [part for part in parts if isinstance(part, Tensor)]
    return tensors[0] if len(tensors) == 1 else None


@contextlib.contextmanager
def watched(network: nn.Module) -> Iterator[list[Call]]:
    """All module calls inside, in order of their beginning; the hooks are gone afterwards."""
    calls: list[Call] = []
    running: list[Call] = []
    clock = itertools.count()

    def before(path: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        entered = main_tensor(inputs[0]) if inputs else None
        calls.append(Call(path, module, next(clock), entered, _version(entered)))
        running.append(calls[-1])

    def after(output: Any) -> None:
        call = running.pop()
        call.end, call.left = next(clock), main_tensor(output)
        call.left_version = _version(call.left)

    handles = []
    for path, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(lambda m, inputs, path=path: before(path, m, inputs)))
        handles.append(module.register_forward_hook(lambda m, inputs, output: after(output)))
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def still(network: nn.Module) -> Iterator[None]:
    """Inside, every module is in evaluation mode; afterwards modes and the random stream are as they were."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    # `eval()` may be overridden to keep parts training; a look at a network must not change its statistics.
    for module, _ in modes:
        module.training = False
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def _version(tensor: Tensor | None) -> int:
    return 0 if tensor is None or tensor.is_inference() else tensor._version


def find(network: nn.Module, images: Tensor, *, where: str = "") -> dict[str, Tap]:
    """All taps of a network by name, in order of their place.

    `images` [N, C, S, S] (of texts token numbers [N, T]) are prepared, N at least 2.

    Raises UserError where the output is not [N, C], and where a row alone gives another answer than among others. Mode,
    buffers and random stream stay as they were.
    """
    with still(network), torch.no_grad(), watched(network) as calls:
        output = main_tensor(network(images))
    if output is None or output.dim() != 2 or len(output) != len(images):
        got = "no single tensor" if output is None else f"{list(output.shape)}"
        raise UserError("a source must give one score a class", where=where, expected=f"[{len(images)}, C]", got=got)
    _check_alone(network, images, output, where)
    count = Counter(call.path for call in calls)
    once = [call for call in calls if count[call.path] == 1 and call.path and call.end >= 0]
    classes = output.shape[1]
    # A layer of a backbone without a head may happen to give as many numbers as its features have.
    classifier = None if getattr(network, "headless", False) else _classifier(once, classes)
    width = None if classifier is None or classifier.entered is None else _channels(classifier)
    taps: dict[str, Tap] = {}
    for call in sorted(once, key=lambda call: call.end):
        tap = _tap(call, len(images), width, last=getattr(network, "channels_last", False))
        if tap is not None:
            taps[call.path] = tap
    aliases = {"logits": _logits(calls[0], output), **_deep(once, taps, classifier)}
    aliases["vector"] = _vector(classifier, aliases["logits"], taps)
    aliases |= {name: taps[SHOWN[name]] for name in getattr(network, "shown", ()) if SHOWN[name] in taps}
    return {**taps, **{name: replace(tap, name=name) for name, tap in aliases.items()}}


def _check_alone(network: nn.Module, images: Tensor, output: Tensor, where: str) -> None:
    """A row's answer must be its own: else the same image is judged in one batch and answered otherwise in use."""
    try:
        with still(network), torch.no_grad():
            alone = main_tensor(network(images[:1]))
    except RuntimeError:
        # What cannot answer one row alone is no better known by this.
        return
    if alone is None or alone.shape != output[:1].shape:
        return
    apart = float((alone - output[:1]).abs().max())
    between, largest = float((output - output.mean(0)).abs().max()), float(output.abs().max())
    if apart > max(TOGETHER * between, ROUNDING * largest):
        raise UserError(
            "this source answers an item differently when it is alone",
            where=where,
            expected="rows that do not know of each other, and the same answer each time",
            got=f"numbers that are {apart:.3g} apart, where two items are {2 * between:.3g} apart",
            hint="no mean, norm or attention over the batch in `forward`, and dropout in training only",
        )


def _logits(root: Call, output: Tensor) -> Tap:
    changed = root.left is not None and root.left_version != _version(root.left)
    return Tap("logits", "logits", output.shape[1], "", volatile=changed)


def _classifier(once: list[Call], classes: int) -> Call | None:
    """The last Linear or 1×1 convolution that gives one number a class."""
    for call in sorted(once, key=lambda call: -call.start):
        module = call.module
        # Dense layers of other frameworks say their width in the same words.
        linear = getattr(module, "out_features", None) == classes and hasattr(module, "in_features")
        pointwise = isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.out_channels == classes
        if (linear or pointwise) and call.entered is not None and call.entered.dim() in KINDS:
            return call
    return None


def _channels(classifier: Call) -> int:
    module = classifier.module
    return module.in_features if hasattr(module, "in_features") else module.in_channels  # pyright: ignore


def _tap(call: Call, rows: int, width: int | None, *, last: bool = False) -> Tap | None:
    """The tap of one call's output; None where that is no block of `rows` items."""
    tensor, path = call.left, call.path
    if tensor is None or tensor.dim() not in KINDS or len(tensor) != rows or not tensor.is_floating_point():
        return None
    volatile = _version(tensor) != call.left_version
    kind = KINDS[tensor.dim()]
    if kind == "vector":
        return Tap(path, kind, tensor.shape[1], path, volatile=volatile)
    if kind == "tokens":
        return Tap(path, kind, tensor.shape[2], path, volatile=volatile, size=(tensor.shape[1],))
    # A network that says where its channels lie is believed; where all sides are equal nothing else could tell.
    layout = "nhwc" if last and tensor.shape[1] == tensor.shape[2] else _layout(tensor, width)
    if layout is None:
        return None
    channels, *plane = tensor.shape[1:] if layout == "nchw" else (tensor.shape[3], *tensor.shape[1:3])
    return Tap(path, kind, channels, path, layout=layout, volatile=volatile, size=tuple(plane))


def _layout(tensor: Tensor, width: int | None) -> Literal["nchw", "nhwc"] | None:
    """How a 4-D tensor lies; None where it is no plane. On a square canvas the two equal sides are the plane.

    Where all three are equal, or none, the width of the classifier's input tells.
    """
    _, first, second, third = tensor.shape
    if second == third != first:
        return "nchw"
    if first == second != third or (third == width != first):
        return "nhwc"
    return "nchw" if second == third or first == width else None


def _deep(once: list[Call], taps: Mapping[str, Tap], classifier: Call | None) -> dict[str, Tap]:
    """`map` or `tokens`: the last block before the classifier of a module with parameters, whichever kind that is.

    A module that only saw a single pixel (a convolution after the pooling) is passed over, unless there is no other.
    """
    limit = classifier.start if classifier is not None else max((call.end for call in once), default=0) + 1
    deep = [
        (call, taps[call.path])
        for call in sorted(once, key=lambda call: -call.end)
        if call.end < limit and call.path in taps and call.has_parameters and taps[call.path].kind != "vector"
    ]
    planes = [tap for call, tap in deep if tap.kind == "tokens" or _saw_a_plane(call)]
    chosen = planes[0] if planes else deep[0][1] if deep else None
    return {chosen.kind: chosen} if chosen is not None else {}


def _saw_a_plane(call: Call) -> bool:
    return call.entered is None or call.entered.dim() != 4 or max(call.entered.shape[2:]) > 1


def _vector(classifier: Call | None, logits: Tap, taps: Mapping[str, Tap]) -> Tap:
    """What the classifier sees, averaged over plane or tokens if it has any; the output without a classifier."""
    if classifier is None or classifier.entered is None:
        return replace(logits, kind="vector")
    entered = classifier.entered
    width = _channels(classifier)
    layout = "plain" if entered.dim() != 4 else "nchw" if isinstance(classifier.module, nn.Conv2d) else "nhwc"
    return Tap(
        "vector",
        "vector",
        width,
        classifier.path,
        side="input",
        layout=layout,
        pooled=entered.dim() > 2,
        volatile=_version(entered) != classifier.entered_version,
    )
