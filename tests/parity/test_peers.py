"""Merges beside PEFT's and mergekit's own code, within 1e-5: run where an environment with both is named.

python3 -m venv peers && peers/bin/pip install mergekit==0.1.5 peft
PEERS=$PWD/peers/bin python -m pytest tests/parity
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from transfuse.fusion.weights_lift import merge_states
from transfuse.registry import method
from transfuse.source.adapted import AdaptedReader
from transfuse.source.weights import ArrayReader

PEERS = os.environ.get("PEERS")
pytestmark = pytest.mark.skipif(not PEERS, reason="PEERS names no environment with mergekit and PEFT")
WEIGHTS = [1.0, 0.5, 2.0]
MERGEKIT = {"trim_scope": "tensor", "kept": "one", "election_weights": True}
DENSITY = 0.25


def inputs() -> dict[str, np.ndarray]:
    """A base and three fine-tunes of it, float32."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=(60, 50)).astype(np.float32)
    return {"base": base} | {name: base + 0.1 * rng.normal(size=base.shape).astype(np.float32) for name in "abc"}


def merged(name: str, given: dict[str, np.ndarray], members: str = "abc", weights=None, base=True, **settings):
    entry = method(f"weights/{name}")
    start = {"t": given["base"]} if base else None
    states = {member: {"t": given[member]} for member in members}
    return merge_states(entry, states, weights=weights, base=start, settings=settings)["t"]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """Inputs, what the peers make of them, and where PEFT wrote its adapters."""
    folder, given = tmp_path_factory.mktemp("peers"), inputs()
    kept = {}
    for place, name in enumerate("abc"):
        one_hot = [float(place == other) for other in range(3)]
        dropped = merged("dare", given, weights=one_hot, density=DENSITY, rescale="none")
        kept[f"kept_{name}"] = (dropped != given["base"]).astype(np.float32)
    np.savez(folder / "in.npz", **given, **kept)
    script = Path(__file__).with_name("oracles.py")
    # Its own packages only: PYTHONPATH would lend it ours.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [f"{PEERS}/python", script, folder / "in.npz", folder / "out.npz"],
        check=False,
        capture_output=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return given, {json.loads(name): array for name, array in np.load(folder / "out.npz").items()}, folder


def ours(given):
    """The same merges here, by the oracle's names."""
    zero, other = {**given, "b": 0 * given["base"]}, {**given, "b": -given["a"]}
    edges = {"weights": [0.7, 0.3], "base": False, "edges": "mergekit"}
    yield "mergekit/linear", merged("mean", given, weights=WEIGHTS, base=False)
    yield "mergekit/slerp", merged("slerp", given, "ab", **edges)
    yield "mergekit/slerp opposite", merged("slerp", other, "ab", **edges)
    yield "mergekit/slerp zero", merged("slerp", zero, "ab", **edges)
    yield "mergekit/model_stock", merged("model_stock", given, hold=False)
    spread = given | {"b": given["b"] - np.float32(0.5) * (given["a"] - given["base"])}
    yield "mergekit/model_stock beyond", merged("model_stock", spread, "ab", hold=False)
    yield "mergekit/task_arithmetic", merged("task_arithmetic", given, weights=WEIGHTS, scale=0.3)
    for density in (0.001, 0.2, 0.5, 1.0):
        for normalize, divisor in ((True, "weights"), (False, "none")):
            found = merged("ties", given, weights=WEIGHTS, density=density, divisor=divisor, **MERGEKIT)
            yield f"mergekit/ties {density} {normalize}", found
    for rescale, how in ((True, "l1"), (False, "none")):
        yield f"mergekit/dare {rescale}", merged("dare", given, weights=WEIGHTS, density=DENSITY, rescale=how)
    for weights in (WEIGHTS, [1.0, -0.5, 2.0]):
        yield f"peft/task_arithmetic {weights[1]}", merged("task_arithmetic", given, weights=weights)
        for density in (0.2, 0.5, 0.999):
            for peft, election in (("total", "mass"), ("frequency", "frequency")):
                how = {"density": density, "trim_scope": "tensor", "election": election}
                yield f"peft/ties {density} {peft} {weights[1]}", merged("ties", given, weights=weights, **how)
    yield "peft/dare", merged("dare", given, weights=WEIGHTS, density=DENSITY)


def test_every_shared_merge_is_theirs_within_a_hundred_thousandth(theirs):
    given, wanted, _ = theirs
    found = dict(ours(given))
    assert set(found) == {name for name in wanted if not name.startswith("lora/")} and len(found) == 32
    apart = {name: np.abs(found[name] - wanted[name]).max() / np.abs(wanted[name]).max() for name in found}
    assert {name: gap for name, gap in apart.items() if not gap <= 1e-5} == {}


@pytest.mark.parametrize("name", ["plain", "rslora", "patterns"])
def test_an_adapter_that_peft_wrote_is_added_as_peft_adds_it(theirs, name):
    _, wanted, folder = theirs
    parts = {key.split("/", 3)[3]: value for key, value in wanted.items() if key.startswith(f"lora/{name}/base/")}
    reader = AdaptedReader(ArrayReader(parts, "base"), folder / name)
    whole = {key.split("/", 3)[3]: value for key, value in wanted.items() if key.startswith(f"lora/{name}/whole/")}
    assert set(reader.names()) == set(whole)
    for tensor, value in whole.items():
        assert np.abs(reader.read(tensor) - value).max() <= 1e-5 * np.abs(value).max(), tensor
