"""Attacks of foolbox and torchattacks on the networks beside; runs in an environment of their own.

python attack_oracles.py NETWORK.pt IN.npz OUT.npz
"""

from __future__ import annotations

import sys

import foolbox
import numpy as np
import torch
import torchattacks
from attack_nets import DEFENCES, Defended, Small

STEPS, STARTS, REACH, QUERIES = 20, 3, 2.5, 300


def worst(model, x, y, points) -> np.ndarray:
    """Which items [N] no point breaks."""
    with torch.no_grad():
        right = [model(point).argmax(dim=1) == y for point in (x, *points)]
    return torch.stack(right).all(dim=0).numpy()


def by_foolbox(model, x, y, radius: float, kind):
    """Projected gradient from x and from two random starts, or one step."""
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1))
    if kind is foolbox.attacks.FGSM:
        return [kind()(wrapped, x, y, epsilons=radius)[1]]
    found = []
    for start in range(STARTS):
        attack = kind(steps=STEPS, rel_stepsize=REACH / STEPS, random_start=start > 0)
        found.append(attack(wrapped, x, y, epsilons=radius)[1])
    return found


def attacks(model, x, y, linf: float, l2: float):
    yield "foolbox", "fgsm", by_foolbox(model, x, y, linf, foolbox.attacks.FGSM)
    yield "foolbox", "pgd", by_foolbox(model, x, y, linf, foolbox.attacks.LinfPGD)
    yield "foolbox", "pgd_l2", by_foolbox(model, x, y, l2, foolbox.attacks.L2PGD)
    yield "torchattacks", "fgsm", [torchattacks.FGSM(model, eps=linf)(x, y)]
    settings = {"eps": linf, "alpha": REACH * linf / STEPS, "steps": STEPS}
    starts = [torchattacks.PGD(model, **settings, random_start=start > 0)(x, y) for start in range(STARTS)]
    yield "torchattacks", "pgd", starts
    both = [torchattacks.APGD(model, norm="Linf", eps=linf, steps=50, loss="ce", seed=0)(x, y)]
    both.append(torchattacks.APGDT(model, norm="Linf", eps=linf, steps=50, n_classes=10, seed=0)(x, y))
    yield "torchattacks", "apgd", both
    square = torchattacks.Square(model, norm="Linf", eps=linf, n_queries=QUERIES, p_init=0.3, loss="margin", seed=0)
    yield "torchattacks", "square", [square(x, y)]


def main() -> None:
    network, given, out = sys.argv[1:]
    torch.set_num_threads(1)
    small = Small().eval()
    small.load_state_dict(torch.load(network, weights_only=True))
    arrays = np.load(given)
    x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    found = {}
    for defence in DEFENCES:
        torch.manual_seed(0)
        model = Defended(small, defence).eval()
        for library, name, points in attacks(model, x, y, float(arrays["linf"]), float(arrays["l2"])):
            found[f"{library}/{name}/{defence}"] = worst(model, x, y, points)
    np.savez(out, **found)


main()
