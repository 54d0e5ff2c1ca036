"""What a merge does to activations, mended with unlabelled images: without it merged convolutional networks collapse.

Averaged weights shrink the variance of what every unit gives. Where a BatchNorm follows, its running statistics are
estimated anew. Where none does, REPAIR gives every unit of a layer the mean and deviation that its parents have there,
mixed in their shares, and folds the change into the layer's weight and bias:

    y' = (y - m) s* / s + m*        m, s merged and m* = sum_k share_k m_k, s* = sum_k share_k s_k wanted, [channels]

Layers are mended together, each seeing inputs that are mended already (Jordan et al., REPAIR, ICLR 2023). The network
that is given is changed; images are what it takes, prepared, in batches of two or more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from transfuse.errors import UserError
from transfuse.source.taps import still
from transfuse.source.trace import trace

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
LAYERS = (nn.Linear, nn.Conv2d)


def batch_norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """The BatchNorms that keep running statistics."""
    kind = nn.modules.batchnorm._BatchNorm
    return [module for module in network.modules() if isinstance(module, kind) and module.running_var is not None]


def re_estimate(network: nn.Module, batches: Sequence[Tensor]) -> int:
    """Give every BatchNorm the statistics of these batches, each counting by its size; returns how many there are.

    Weights, counters and modes stay. Raises UserError without a batch of two, and where a statistic comes out as NaN,
    infinite or negative; the network is then as it was, as it is where it does not take the images.
    """
    norms = batch_norms(network)
    if not norms:
        return 0
    sizes = [len(batch) for batch in batches]
    if not sizes or min(sizes) < 2:
        raise UserError("statistics cannot be estimated", expected="batches of two images or more", got=str(sizes))
    kept = {name: value.detach().clone() for name, value in network.state_dict().items()}
    momenta = [norm.momentum for norm in norms]
    with _as_it_was(network, kept), still(network), torch.no_grad():
        try:
            for norm in norms:
                norm.training = True
            for number, batch in enumerate(batches):
                for norm in norms:
                    norm.momentum = sizes[number] / sum(sizes[: number + 1])
                network(batch)
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum, norm.training = momentum, False
    own = network.state_dict()
    for name in own:
        if name.endswith("num_batches_tracked"):
            own[name].copy_(kept[name])
    if not all(_sound(norm) for norm in norms):
        network.load_state_dict(kept)
        raise UserError("the estimated statistics hold NaN, infinity or negative variances", got=f"{len(norms)} norms")
    return len(norms)


@contextlib.contextmanager
def _as_it_was(network: nn.Module, kept: Mapping[str, Tensor]) -> Iterator[None]:
    """Where something is raised inside, the network gets the numbers that it had before."""
    try:
        yield
    except BaseException:
        network.load_state_dict(kept)
        raise


def _sound(norm: nn.modules.batchnorm._BatchNorm) -> bool:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        return True
    return bool(mean.isfinite().all()) and bool(variance.isfinite().all()) and bool((variance >= 0).all())


@dataclass
class _Moments:
    """Sums over images and places of each channel's values and their squares."""

    count: float = 0.0
    total: Any = 0.0
    squares: Any = 0.0

    def add(self, values: Tensor) -> None:
        wide = values.double()
        self.count += len(wide)
        self.total = self.total + wide.sum(dim=0)
        self.squares = self.squares + wide.square().sum(dim=0)

    def found(self) -> tuple[Tensor, Tensor]:
        mean = self.total / self.count
        return mean, (self.squares / self.count - mean.square()).clamp(min=0).sqrt()


@dataclass(frozen=True)
class Repaired:
    """How many norms were estimated anew, which layers were brought to their parents' moments, which not, and why."""

    norms: int
    layers: tuple[str, ...] = ()
    left: tuple[tuple[str, str], ...] = field(default=())


def repair(
    network: nn.Module, parents: Sequence[Mapping[str, np.ndarray]], shares: Sequence[float], batches: Sequence[Tensor]
) -> Repaired:
    """REPAIR `network`, whose weights were merged from `parents` (state dicts of one order of units) in these shares.

    Raises UserError as `re_estimate` does, and where the network cannot be traced: which layers a norm follows would be
    unknown. Whatever is raised, the network is then as it was.
    """
    layers, left = mendable(network)
    total = float(sum(shares))
    merged = {name: value.detach().clone() for name, value in network.state_dict().items()}
    wanted: dict[str, tuple[Tensor, Tensor]] = {}
    with _as_it_was(network, merged):
        for parent, share in zip(parents, shares, strict=True):
            own = {name: torch.from_numpy(np.ascontiguousarray(parent[name])).to(merged[name].dtype) for name in merged}
            network.load_state_dict(own)
            for name, (mean, deviation) in _moments(network, layers, batches).items():
                old = wanted.get(name, (0.0, 0.0))
                wanted[name] = (old[0] + share / total * mean, old[1] + share / total * deviation)
        network.load_state_dict(merged)
        for name, (mean, deviation) in _moments(network, layers, batches, wanted).items():
            _fold(network.get_submodule(name), (mean, deviation), wanted[name])
        return Repaired(re_estimate(network, batches), tuple(layers), tuple(left))


def mendable(network: nn.Module) -> tuple[list[str], list[tuple[str, str]]]:
    """The layers that no norm follows, but for the last ones, and those that are left alone with the reason."""
    graph = trace(network).graph
    calls: dict[str, list[fx.Node]] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            calls.setdefault(str(node.target), []).append(node)
    found, left = [], []
    for name, nodes in calls.items():
        if not isinstance(network.get_submodule(name), LAYERS):
            continue
        if len(nodes) > 1:
            left.append((name, "it is used more than once"))
        elif any(_is(network, user, NORMS) for user in nodes[0].users):
            left.append((name, "a norm follows it"))
        elif _last(network, nodes[0]):
            left.append((name, "it is the last layer"))
        else:
            found.append(name)
    return found, left


def _is(network: nn.Module, node: fx.Node, kinds: tuple[type, ...]) -> bool:
    return node.op == "call_module" and isinstance(network.get_submodule(str(node.target)), kinds)


def _last(network: nn.Module, node: fx.Node) -> bool:
    """Whether no way from here to the output leads through a further layer."""
    pending, seen = list(node.users), set()
    while pending:
        user = pending.pop()
        if _is(network, user, LAYERS):
            return False
        if user not in seen:
            seen.add(user)
            pending.extend(user.users)
    return True


def _moments(
    network: nn.Module,
    layers: Sequence[str],
    batches: Sequence[Tensor],
    wanted: Mapping[str, tuple[Tensor, Tensor]] | None = None,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and deviation of every channel of these layers; with `wanted`, later layers see what is mended before."""
    found = {name: _Moments() for name in layers}
    with still(network), torch.no_grad(), _hooked(network, found, wanted):
        norms = batch_norms(network) if wanted is not None else []
        for norm in norms:
            # Batch statistics stand for those that are estimated afterwards.
            norm.training = True
        try:
            for batch in batches:
                network(batch.clone())
        finally:
            for norm in norms:
                norm.training = False
    return {name: moments.found() for name, moments in found.items()}


@contextlib.contextmanager
def _hooked(
    network: nn.Module, found: Mapping[str, _Moments], wanted: Mapping[str, tuple[Tensor, Tensor]] | None
) -> Iterator[None]:
    handles = []

    def hook(name: str) -> Any:
        def look(module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
            channels = 1 if isinstance(module, nn.Conv2d) else output.dim() - 1
            rows = output.movedim(channels, -1).reshape(-1, output.shape[channels])
            found[name].add(rows)
            if wanted is None:
                return None
            batch = _Moments()
            batch.add(rows)
            scale, offset = _change(module, batch.found(), wanted[name])
            form = [-1 if dim == channels else 1 for dim in range(output.dim())]
            return output * scale.to(output.dtype).view(form) + offset.to(output.dtype).view(form)

        return look

    try:
        for name in found:
            handles.append(network.get_submodule(name).register_forward_hook(hook(name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _change(module: nn.Module, have: tuple[Tensor, Tensor], want: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """y' = scale y + offset; a unit that never changes keeps its scale, a layer without bias its mean's proportion."""
    (mean, deviation), (mean_wanted, deviation_wanted) = have, want
    alive = deviation > 1e-12
    scale = torch.where(alive, deviation_wanted / torch.where(alive, deviation, 1.0), 1.0)
    return scale, torch.zeros_like(mean) if module.bias is None else mean_wanted - scale * mean


def _fold(module: nn.Module, have: tuple[Tensor, Tensor], want: tuple[Tensor, Tensor]) -> None:
    """The change as part of the layer's own weight and bias."""
    scale, offset = _change(module, have, want)
    with torch.no_grad():
        weight: Any = module.weight
        weight.mul_(scale.to(weight.dtype).view(-1, *[1] * (weight.dim() - 1)))
        bias: Any = module.bias
        if bias is not None:
            bias.copy_((bias.double() * scale + offset).to(bias.dtype))
