"""What compressing a fusion buys in time and bytes, against the fastest form that float32 has; and where the time goes.

Forms take turns (A B C A B C ...), one thread, CPU time of single calls. Weights are random: no time depends on them.
"""

from __future__ import annotations

import collections
import copy
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from transfuse.compress import rows_of
from transfuse.compress._checks import example, example_rows
from transfuse.compress._graph import onnx_of
from transfuse.compress._lift import compressed, stored_bytes
from transfuse.files.graphs import graph_of, session_of
from transfuse.fusion.connect import connect
from transfuse.fusion.fused import Fused
from transfuse.registry import find
from transfuse.run.worker import keep_memory
from transfuse.source.open import make_card, open_source

CLASSES = [str(digit) for digit in range(10)]
SMALL = {"lite0": "timm:tf_efficientnet_lite0@random", "squeeze": "torchvision:squeezenet1_1@random"}
LARGE = {"resnet": "torchvision:resnet18@random", "mobile": "torchvision:mobilenet_v3_small@random"}
# So many calls by size of batch; fewer of large images, which take seconds.
ROUNDS = {1: 25, 16: 8}
LARGE_SIDE, FEWER = 128, 2
FLOAT = ("torch", "torch, channels last", "onnxruntime")


def table() -> list[str]:
    """All rows."""
    torch.set_num_threads(1)
    keep_memory()
    return [
        *_pair("Lite0 + SqueezeNet", SMALL, 96, "lite0", pruned=True),
        *_pair("ResNet-18 + MobileNetV3", LARGE, 224, None, pruned=False),
        *_overflow(),
    ]


def _overflow() -> list[str]:
    """How far the answers of the demo networks' fusion move in int8 here, with weights in 7 bits and in 8."""
    entry = find("compress", "quantise")
    patient = replace(entry, traits={**entry.traits, "near": 100.0})
    found = []
    for reduced, bits in ((True, 7), (False, 8)):
        told = compressed(patient, example(), example_rows(), {"reduced": reduced}).told
        said = f"logits move by {told['moved']:.3f} of their spread"
        found.append(f"int8 of two demo networks, weights in {bits} bits: {said}")
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return [*found, f"this processor has VNNI: {'yes' if 'vnni' in flags else 'no'}"]


def fusion(specs: dict[str, str], side: int) -> Fused:
    """Heads that have learned nothing give zeros, so this one gets some numbers."""
    members = {
        name: open_source(make_card(name, spec, root=Path(), canvas=side), root=Path()) for name, spec in specs.items()
    }
    made = connect("features/concat", members, None, CLASSES).eval()
    with torch.no_grad():
        made.settle(torch.rand(8, 3, side, side))
        made.crown.head.weight.copy_(torch.randn(made.crown.head.weight.shape) / 30)
    return made


def _pair(title: str, specs: dict[str, str], side: int, single: str | None, *, pruned: bool) -> list[str]:
    torch.manual_seed(0)
    whole, rows = fusion(specs, side), rows_of(torch.rand(32, 3, side, side), torch.randint(0, 10, (32,)), batch=16)
    graph = onnx_of(whole, side)
    last = copy.deepcopy(whole).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    forms: dict[str, tuple[Callable[[np.ndarray], object], int]] = {
        "torch": (_torch(whole), stored_bytes(whole)),
        "torch, channels last": (_torch(last), stored_bytes(whole)),
        "onnxruntime": _graph(graph),
        "int8": _graph(int8 := _int8(whole, rows)),
    }
    if single is not None:
        forms[f"int8 of {single} alone"] = _graph(_int8(fusion({single: specs[single]}, side), rows))
    if pruned:
        half = compressed(find("compress", "prune"), whole, rows, {"ratio": 0.5}).model
        forms["half the channels, onnxruntime"] = _graph(onnx_of(half, side))
        forms["half the channels, int8"] = _graph(_int8(half, rows))
    found = [f"{title}, {side} px, one thread (CPU ms)"]
    for batch in ROUNDS:
        found += _batch(forms, batch, side)
    return [*found, *_profiles({"onnxruntime": graph, "int8": int8}, side)]


def _int8(model: Fused, rows: object) -> bytes:
    entry = find("compress", "quantise")
    # Random networks amplify rounding; here only time is asked for.
    made = entry.load().compress(copy.deepcopy(model), rows, **entry.settings({}))
    return made.data


def _torch(model: torch.nn.Module) -> Callable[[np.ndarray], object]:
    def run(canvas: np.ndarray) -> object:
        with torch.no_grad():
            return model(torch.from_numpy(canvas))

    return run


def _graph(data: bytes) -> tuple[Callable[[np.ndarray], object], int]:
    session = session_of(graph_of(data, Path("benchmark")), "benchmark")
    return lambda canvas: session.run(None, {"canvas": canvas}), len(data)


def _batch(forms: dict[str, tuple[Callable[[np.ndarray], object], int]], batch: int, side: int) -> list[str]:
    canvas = np.random.default_rng(0).random((batch, 3, side, side), dtype=np.float32)
    taken: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(ROUNDS[batch] // (FEWER if side > LARGE_SIDE else 1) + 3):
        for name, (run, _) in forms.items():
            began = time.process_time()
            run(canvas)
            if turn >= 3:
                taken[name].append(1e3 * (time.process_time() - began))
    best = min(FLOAT, key=lambda name: statistics.median(taken[name]))
    rows = []
    for name, (_, size) in forms.items():
        times = taken[name]
        ratios = [whole / own for whole, own in zip(taken[best], times, strict=True)]
        p50, p95 = np.percentile(times, [50, 95])
        gain = f"{statistics.median(ratios):5.2f}x [{min(ratios):.2f}, {max(ratios):.2f}] of {best}"
        rate = f"{1e3 * batch / p50:7.1f} images/s"
        said = f"  batch {batch:>2}  {name:<32} p50 {p50:8.2f}  p95 {p95:8.2f}"
        rows.append(f"{said}  {rate}  {size / 1e6:6.2f} MB  {gain}")
    return rows


def _profiles(graphs: dict[str, bytes], side: int) -> list[str]:
    """Where one image spends its time, by kind of operator."""
    return [f"  profile, batch 1, {name}: {profile(data, side)}" for name, data in graphs.items()]


def profile(data: bytes, side: int) -> str:
    """Median microseconds of each kind of operator over twelve calls, the largest first."""
    import onnxruntime

    with TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_profiling, options.profile_file_prefix = True, f"{folder}/profile"
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        canvas = np.random.default_rng(0).random((1, 3, side, side), dtype=np.float32)
        for _ in range(12):
            session.run(None, {"canvas": canvas})
        events = json.loads(Path(session.end_profiling()).read_text())
    nodes: dict[tuple[str, str], list[int]] = collections.defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            nodes[event["args"]["op_name"], event["name"]].append(event["dur"])
    total: collections.Counter[str] = collections.Counter()
    count: collections.Counter[str] = collections.Counter()
    for (kind, _), taken in nodes.items():
        total[kind] += statistics.median(taken)  # pyright: ignore[reportArgumentType]
        count[kind] += 1
    return ", ".join(f"{kind} x{count[kind]} {spent:.0f} us" for kind, spent in total.most_common(7))
