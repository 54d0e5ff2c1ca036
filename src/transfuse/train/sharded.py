"""A network's weights divided over the processes that train it; without this file each of them would hold all.

Large layers are divided by PyTorch's `fully_shard`, each on its own: of its weights, gradients and moments a process
holds one part of N, and the whole weights only from the moment the layer is called until it has answered, and once more
for its gradients. Layers and not whole sources, since a source is left as soon as what is read of it was seen.

    bytes of a number of such a layer: 16/N, where 8 + 8/N are held otherwise (`ranks`)

Sources: Rajbhandari et al., ZeRO, SC 2020 (its third stage); Zhao et al., PyTorch FSDP, VLDB 2023.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from transfuse.errors import UserError, first_line

WHERE = "recipe, run.shard_weights"
# Layers of fewer numbers are not worth the messages.
LEAST = 1 << 16


@contextmanager
def sharded(model: nn.Module, count: int) -> Iterator[None]:
    """Each large layer's place is taken by one that is divided over all `count` processes; at the end the layer is back
    with what was learned, which every process then has. After an error it stays away. Raises UserError where a
    network reads a weight without calling its layer."""
    from torch.distributed import fsdp
    from torch.distributed.device_mesh import init_device_mesh

    kind = next((parameter.device.type for parameter in model.parameters()), "cpu")
    mesh, pairs = init_device_mesh(kind, (count,)), []
    for name in large(model):
        parent, _, last = name.rpartition(".")
        holder, whole = model.get_submodule(parent), model.get_submodule(name)
        # Parts are cut from numbers in their plain order, whatever order the layer holds them in.
        part = copy.deepcopy(whole).to(memory_format=torch.contiguous_format)
        orders = [parameter.stride() for parameter in whole.parameters()]
        # What is called first is kept whole unless this says otherwise; here every layer is called first.
        fsdp.fully_shard(part, mesh=mesh, reshard_after_forward=True)
        setattr(holder, last, part)
        for parameter in whole.parameters():
            parameter.data = parameter.data.new_empty(0)
        pairs.append((holder, last, whole, part, orders))
    # What is on its way is kept until the next message: with a way for each layer, all gradients would stay whole.
    share = getattr(fsdp, "share_comm_ctx", lambda parts: None)
    share([part for _, _, _, part, _ in pairs])
    try:
        yield
    except RuntimeError as error:
        if "DTensor" not in str(error):
            raise
        raise UserError(
            "this network reads weights without calling the layers that they belong to", where=WHERE,
            got=first_line(error, 160), hint="run: {shard_weights: false}",
        ) from error  # fmt: skip
    for holder, last, whole, part, orders in pairs:
        _back(whole, part, orders)
        setattr(holder, last, whole)


def large(model: nn.Module) -> list[str]:
    """The names of the layers that are divided: those with many numbers of their own that no other layer shares."""
    uses = Counter(id(each) for module in model.modules() for each in module.parameters(recurse=False))
    found: list[str] = []
    for name, module in model.named_modules():
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if name and own >= LEAST and not inside and all(uses[id(each)] == 1 for each in module.parameters()):
            found.append(name)
    return found


@torch.no_grad()
def _back(whole: nn.Module, part: nn.Module, orders: Sequence[tuple[int, ...]]) -> None:
    for own, learned, order in zip(whole.parameters(), part.parameters(), orders, strict=True):
        values = learned.full_tensor()  # pyright: ignore[reportAttributeAccessIssue]
        own.data = torch.empty_strided(values.shape, order, dtype=values.dtype, device=values.device).copy_(values)
    for own, last in zip(whole.buffers(), part.buffers(), strict=True):
        own.copy_(last)
    whole.train(part.training)
