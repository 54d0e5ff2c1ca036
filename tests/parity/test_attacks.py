"""Robust accuracy beside foolbox's and torchattacks' own code, within one point: run where an environment is named.

python3 -m venv attacks && attacks/bin/pip install torch foolbox==3.3.4 torchattacks==3.5.1
ATTACKS=$PWD/attacks/bin python -m pytest tests/parity/test_attacks.py -s
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from parity.attack_nets import DEFENCES, SIDE, Defended, Small
from transfuse.conditions import under
from transfuse.conditions._ways import Guided

ATTACKS = os.environ.get("ATTACKS")
pytestmark = pytest.mark.skipif(not ATTACKS, reason="ATTACKS names no environment with foolbox and torchattacks")
LINF, L2, JUDGED, POINT = 0.08, 0.6, 600, 0.01
NAMES = {"fgsm": LINF, "pgd": LINF, "pgd_l2": L2, "apgd": LINF, "square": LINF}
BOTH = {"foolbox": ("fgsm", "pgd", "pgd_l2"), "torchattacks": ("fgsm", "pgd", "apgd", "square")}


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    found = load_digits()
    images = torch.from_numpy((found.images / 16).astype(np.float32))
    return images[:, None].repeat(1, 3, 1, 1), torch.from_numpy(found.target)


@pytest.fixture(scope="module")
def small() -> Small:
    """Trained on all digits but the judged ones."""
    torch.set_num_threads(1)
    x, y = rows()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = Small()
        optimiser = torch.optim.Adam(made.parameters(), lr=3e-3)
        for _ in range(20):
            for chosen in torch.randperm(len(x) - JUDGED).split(64):
                optimiser.zero_grad()
                torch.nn.functional.cross_entropy(made(x[JUDGED:][chosen]), y[JUDGED:][chosen]).backward()
                optimiser.step()
    return made.eval()


@pytest.fixture(scope="module")
def theirs(small, tmp_path_factory) -> dict[str, float]:
    folder = tmp_path_factory.mktemp("attacks")
    x, y = rows()
    torch.save(small.state_dict(), folder / "network.pt")
    np.savez(folder / "in.npz", x=x[:JUDGED].numpy(), y=y[:JUDGED].numpy(), linf=LINF, l2=L2)
    script = Path(__file__).with_name("attack_oracles.py")
    # Its own packages only: PYTHONPATH would lend it ours.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    files = [folder / name for name in ("network.pt", "in.npz", "out.npz")]
    done = subprocess.run([f"{ATTACKS}/python", script, *files], check=False, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return {name: float(array.mean()) for name, array in np.load(files[-1]).items()}


@pytest.fixture(scope="module")
def ours(small) -> dict[str, float]:
    """Robust accuracy by attack and defence; `guided` climbs the network inside the defence."""
    x, y = rows()
    clean, targets, ids = x[:JUDGED].numpy(), y[:JUDGED].numpy(), [str(row) for row in range(JUDGED)]
    assert clean.shape[-1] == SIDE
    found = {}
    for defence in DEFENCES:
        model = Defended(small, defence).eval()
        ways = {"": model} if defence == "none" else {"": model, "guided ": Guided(model, small)}
        for how, against in ways.items():
            for name, level in NAMES.items():
                if how and name == "square":
                    continue
                points = under(name, level, clean, targets=targets, ids=ids, forward=against)
                with torch.no_grad():
                    right = [model(torch.from_numpy(each)).argmax(dim=1).numpy() == targets for each in (clean, points)]
                found[f"{how}{name}/{defence}"] = float(np.logical_and(*right).mean())
    return found


def test_robust_accuracy_of_a_trained_network_is_theirs_within_a_point(ours, theirs):
    for library, names in BOTH.items():
        for name in names:
            mine, other = ours[f"{name}/none"], theirs[f"{library}/{name}/none"]
            print(f"{library} {name}: {100 * other:.1f} %, here {100 * mine:.1f} %")
            # Random squares are other squares there; every other attack is the same search.
            assert mine == pytest.approx(other, abs=POINT if name != "square" else 3 * POINT), (library, name)


@pytest.mark.parametrize("defence", DEFENCES[1:])
def test_a_broken_defence_is_not_reported_stronger_than_by_them_and_falls_once_guided(ours, theirs, defence):
    for library, names in BOTH.items():
        for name in names:
            mine, other = ours[f"{name}/{defence}"], theirs[f"{library}/{name}/{defence}"]
            print(f"{defence}: {library} {name} {100 * other:.1f} %, here {100 * mine:.1f} %")
            assert mine <= other + (POINT if name != "square" else 3 * POINT), (library, name)
    for name in ("fgsm", "pgd", "apgd"):
        print(f"{defence}: {name} guided {100 * ours[f'guided {name}/{defence}']:.1f} %")
        assert ours[f"guided {name}/{defence}"] <= ours[f"{name}/none"] + 5 * POINT
