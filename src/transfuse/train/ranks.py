"""One training divided over several processes; without it a network could only be trained at the speed of one device.

Every process does the same from the same seeds and takes its part of each batch. Gradients of the parts' means,
weighted by their rows, become that of the batch's mean, so all processes hold the same weights after every step:

    g = Σ_r n_r g_r / Σ_r n_r

That is the training of one process up to rounding. It is so only where the loss is a mean over rows: statistics that a
network takes of its batches, and objectives that look at rows together, would change with the parts and are refused.
What the optimiser knows is divided: each process moves its share of the parameters and tells the others where they are
now, so that both moments of a number, half of what training holds of it, lie in one process. Weights can be divided
too (`sharded`). Sources: Li et al., PyTorch Distributed, VLDB 2020; Rajbhandari et al., ZeRO, SC 2020 (first stage).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from transfuse.errors import UserError
from transfuse.schedules import Schedule
from transfuse.train.batches import in_batches
from transfuse.train.sharded import sharded

WHERE = "recipe, run.ranks"
# So many numbers are sent at once: 32 MiB of float32.
BUCKET = 8 << 20


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is, and whether weights are divided; one alone does nothing here."""

    rank: int = 0
    count: int = 1
    shard: bool = False

    def part(self, rows: np.ndarray) -> np.ndarray:
        """This process' rows of a batch."""
        return rows[len(rows) * self.rank // self.count : len(rows) * (self.rank + 1) // self.count]

    def divided(self, model: nn.Module) -> AbstractContextManager[None]:
        """The network with its large layers divided, where they are to be."""
        return sharded(model, self.count) if self.shard and self.count > 1 else nullcontext()

    def weighed(self, loss: Tensor, rows: int) -> Tensor:
        """The mean loss of this process' rows, so that the mean of all processes' gradients is the whole batch's."""
        return loss if self.count == 1 else loss * (rows * self.count / self.summed({"rows": rows})["rows"])

    def join(self, parameters: Sequence[nn.Parameter]) -> None:
        """Put the mean of all processes' gradients in the place of this one's. Layers that are divided have it."""
        if self.count == 1:
            return
        held = [each.grad for each in parameters if each.grad is not None and not is_part(each)]
        for bucket in _buckets(held):
            flat = torch.cat([grad.flatten() for grad in bucket])
            torch.distributed.all_reduce(flat)
            _put(flat / self.count, bucket)

    def shorten(self, parameters: Sequence[nn.Parameter], most: float) -> None:
        """Make the gradient of all parameters together no longer than `most`."""
        parts = [own(each.grad) for each in parameters if each.grad is not None and is_part(each)]
        if not parts:
            torch.nn.utils.clip_grad_norm_(parameters, most)
            return
        rest = [each.grad for each in parameters if each.grad is not None and not is_part(each)]
        square = self.summed({"square": sum(float(grad.square().sum()) for grad in parts)})["square"]
        length = math.sqrt(square + sum(float(grad.square().sum()) for grad in rest))
        if length > most:
            for grad in [*parts, *rest]:
                grad.mul_(most / (length + 1e-6))

    def owners(self, parameters: Sequence[nn.Parameter]) -> dict[nn.Parameter, int]:
        """Which process moves each of these: neighbours, of about as many numbers for each process; of a divided layer
        every process its own part."""
        whole = [parameter for parameter in parameters if not is_part(parameter)]
        ends = np.cumsum([parameter.numel() for parameter in whole])
        return dict.fromkeys(parameters, self.rank) | {
            parameter: int(max(end - 1, 0) * self.count // max(int(ends[-1]), 1))
            for parameter, end in zip(whole, ends, strict=True)
        }

    def share(self, moved: Mapping[nn.Parameter, int]) -> None:
        """Take from every process the parameters that it has moved; all are given in the same order everywhere."""
        whole = {parameter: owner for parameter, owner in moved.items() if not is_part(parameter)}
        for rank in range(self.count if self.count > 1 else 0):
            for bucket in _buckets([parameter.data for parameter, owner in whole.items() if owner == rank]):
                flat = torch.cat([values.flatten() for values in bucket])
                torch.distributed.broadcast(flat, src=rank)
                _put(flat, bucket)

    def summed(self, told: Mapping[str, float]) -> dict[str, float]:
        """Sums over all processes, by name."""
        if self.count == 1:
            return dict(told)
        device = torch.cuda.current_device() if torch.distributed.get_backend() == "nccl" else "cpu"
        sums = torch.tensor([told[name] for name in sorted(told)], dtype=torch.float64, device=device)
        torch.distributed.all_reduce(sums)
        return dict(zip(sorted(told), sums.tolist(), strict=True))

    def check(self, schedule: Schedule, model: nn.Module, rows: np.ndarray) -> None:
        """Refuse what would not be the same training in parts. Raises UserError."""
        if self.count == 1:
            return
        names = [name for name, _ in schedule.objective]
        if names != ["supervised"] or schedule.augment:
            raise _undivided("only the plain supervised objective is a mean over rows", ", ".join(names))
        moving = [name for name, part in model.named_modules() if isinstance(part, _BatchNorm) and part.training]
        if moving:
            raise _undivided("BatchNorm takes statistics of whole batches", moving[0])
        least = min(len(batch) for batch in in_batches(rows, schedule.batch))
        if least < self.count:
            raise _undivided("a batch has fewer rows than there are processes", f"{least} rows")
        if self.shard and schedule.thaw != "at_once":
            raise _undivided("of divided weights all learn from the start", f"thaw: {schedule.thaw}")


def here(shard: bool = False) -> Ranks:
    """The processes that this one was started among."""
    group = torch.distributed
    if not group.is_available() or not group.is_initialized():
        return Ranks()
    return Ranks(group.get_rank(), group.get_world_size(), shard)


def is_part(parameter: Tensor) -> bool:
    """Whether this process holds only its part of it."""
    return hasattr(parameter, "to_local")


def own(tensor: Tensor) -> Tensor:
    """What this process holds of a parameter, or of a gradient: all of what is not divided."""
    return tensor.to_local() if is_part(tensor) else tensor  # pyright: ignore[reportAttributeAccessIssue]


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors in their order, of one type, and as many as are sent at once."""
    held: list[Tensor] = []
    for tensor in tensors:
        full = held and sum(each.numel() for each in held) + tensor.numel() > BUCKET
        if held and (full or tensor.dtype != held[0].dtype):
            yield held
            held = []
        held.append(tensor)
    if held:
        yield held


def _put(flat: Tensor, places: Sequence[Tensor]) -> None:
    """Numbers end to end back into their tensors."""
    for place, part in zip(places, flat.split([place.numel() for place in places]), strict=True):
        place.copy_(part.view_as(place))


def _undivided(why: str, got: str) -> UserError:
    return UserError(
        f"this training cannot be divided over processes: {why}", where=WHERE, got=got, hint="run: {ranks: 1}"
    )
