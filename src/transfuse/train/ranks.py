"""One training divided over several processes; without it a network could only be trained at the speed of one device.

Every process does the same from the same seeds and takes its part of each batch. Gradients of the parts' means,
weighted by their rows, become that of the batch's mean, so all processes hold the same weights after every step:

    g = Σ_r n_r g_r / Σ_r n_r

That is the training of one process up to rounding. It is so only where the loss is a mean over rows: statistics that a
network takes of its batches, and objectives that look at rows together, would change with the parts and are refused.
What the optimiser knows is divided: each process moves its share of the parameters and tells the others where they are
now, so that both moments of a number, half of what training holds of it, lie in one process. Sources: Li et al.,
PyTorch Distributed, VLDB 2020; Rajbhandari et al., ZeRO, SC 2020 (its first stage).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from transfuse.errors import UserError
from transfuse.schedules import Schedule
from transfuse.train.batches import in_batches

WHERE = "recipe, run.ranks"
# So many numbers are sent at once: 32 MiB of float32.
BUCKET = 8 << 20


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is; one alone does nothing here."""

    rank: int = 0
    count: int = 1

    def part(self, rows: np.ndarray) -> np.ndarray:
        """This process' rows of a batch."""
        return rows[len(rows) * self.rank // self.count : len(rows) * (self.rank + 1) // self.count]

    def join(self, parameters: Sequence[nn.Parameter], rows: int) -> None:
        """Put the batch's gradient in the place of that of this process' rows."""
        if self.count == 1:
            return
        held = [parameter.grad for parameter in parameters if parameter.grad is not None]
        total = held[0].new_full((1,), rows)
        torch.distributed.all_reduce(total)
        for bucket in _buckets(held):
            flat = torch.cat([grad.flatten() for grad in bucket]) * rows
            torch.distributed.all_reduce(flat)
            _put(flat / total, bucket)

    def owners(self, parameters: Sequence[nn.Parameter]) -> dict[nn.Parameter, int]:
        """Which process moves each of these: neighbours, of about as many numbers for each process."""
        ends = np.cumsum([parameter.numel() for parameter in parameters])
        return {
            parameter: int(max(end - 1, 0) * self.count // max(int(ends[-1]), 1))
            for parameter, end in zip(parameters, ends, strict=True)
        }

    def share(self, moved: Mapping[nn.Parameter, int]) -> None:
        """Take from every process the parameters that it has moved; all are given in the same order everywhere."""
        for rank in range(self.count if self.count > 1 else 0):
            for bucket in _buckets([parameter.data for parameter, owner in moved.items() if owner == rank]):
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


def here() -> Ranks:
    """The processes that this one was started among."""
    group = torch.distributed
    if not group.is_available() or not group.is_initialized():
        return Ranks()
    return Ranks(group.get_rank(), group.get_world_size())


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
