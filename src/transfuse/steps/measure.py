"""Measured cost of what could be shipped: latency and memory on this machine, never part of the evidence.

Arms take turns (A B C A B C …), so that a machine that slows down slows all of them; medians and 95th percentiles are
of single calls after warm-up.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfuse.errors import out_of_memory
from transfuse.steps import Context, Result
from transfuse.store import Artifact

if TYPE_CHECKING:
    from torch import Tensor, nn

REVISION = 1
NEEDS = ("torch",)
WARM_UP, ROUNDS = 5, 30
SECONDS = 5.0
BATCH = 32


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """{arm: latency_p50_ms, latency_p95_ms (batch 1), batch_ms (of 32), peak_memory_mb or None, rounds}."""
    import numpy as np
    import torch

    from transfuse.fields import joint_field
    from transfuse.source.door import example
    from transfuse.steps._model import opened

    device = context.torch_device()
    names = {role.split("|")[1]: key for role, key in context.keys.items() if "failed" not in inputs[role].meta}
    models = {name: opened(key, context, name).to(device) for name, key in sorted(names.items())}
    field = joint_field(model.card for model in models.values())
    one, many = (example(field, rows, params["canvas"], device) for rows in (1, BATCH))
    times: dict[str, list[float]] = {name: [] for name in models}
    began = time.perf_counter()
    with torch.no_grad():
        for turn in range(WARM_UP + ROUNDS):
            for name, model in models.items():
                elapsed = _timed(model, one, device)
                if turn >= WARM_UP:
                    times[name].append(elapsed)
            context.emit("progress", done=turn + 1, of=WARM_UP + ROUNDS)
            if turn > 2 * WARM_UP and time.perf_counter() - began > SECONDS:
                break
        found = {
            name: {
                "latency_p50_ms": float(np.percentile(times[name], 50)),
                "latency_p95_ms": float(np.percentile(times[name], 95)),
                "rounds": len(times[name]),
                **_batched(model, many, device),
            }
            for name, model in models.items()
        }
    return {"arms": found, "device": str(device), "threads": torch.get_num_threads(), "batch": BATCH}, None


def _batched(model: nn.Module, many: Tensor, device: Any) -> dict[str, Any]:
    """What a batch takes; without numbers, and with the reason, where it does not fit in memory."""
    try:
        fastest = min(_timed(model, many, device) for _ in range(2))
        return {"batch_ms": fastest, "peak_memory_mb": peak_memory_mb(model, many)}
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    return {"batch_ms": None, "peak_memory_mb": None, "lacking": f"a batch of {BATCH} does not fit in memory"}


def _timed(model: nn.Module, batch: Tensor, device: Any) -> float:
    import torch

    began = time.perf_counter()
    model(batch)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return 1000 * (time.perf_counter() - began)


def peak_memory_mb(model: nn.Module, batch: Tensor) -> float | None:
    """How much resident memory one forward pass of 32 items adds at its peak, plus the weights; None where the system
    cannot tell."""
    import torch

    weights = sum(entry.numel() * entry.element_size() for entry in [*model.parameters(), *model.buffers()])
    if batch.is_cuda:
        torch.cuda.reset_peak_memory_stats(batch.device)
        before = torch.cuda.memory_allocated(batch.device)
        model(batch)
        return (torch.cuda.max_memory_allocated(batch.device) - before + weights) / 1e6
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    try:
        clear.write_text("5", encoding="ascii")  # resets the peak of resident memory (Linux)
        before = _kilobytes(status, "VmRSS")
        model(batch)
        return (_kilobytes(status, "VmHWM") - before) / 1e3 + weights / 1e6
    except (OSError, KeyError):
        return None


def _kilobytes(status: Path, name: str) -> int:
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines() if ":" in line)
    return int(lines[name].split()[0])
