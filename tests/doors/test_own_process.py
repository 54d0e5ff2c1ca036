"""The verbs run in somebody else's process, and leave it as it was."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import nn

import transfuse

LABELS = np.arange(60) % 3
IMAGES = np.random.default_rng(0).random((60, 12, 12)).astype(np.float32) * 0.4 + LABELS[:, None, None] / 5


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Linear(72, 5)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def as_it_stands() -> tuple[object, ...]:
    """What a verb could change of a process for good."""
    kept = random.getstate(), repr(np.random.get_state()[1].tolist()), bytes(torch.get_rng_state().numpy())  # noqa: NPY002
    return torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(), *kept


def test_a_verb_leaves_the_torch_and_random_state_of_its_process_as_it_was(tmp_path):
    sources = {"one": Small(), "other": Small()}
    quick = {"frozen": {"epochs": 2, "rates": [0.01], "least_steps": 10}}
    more = {"run": {"store": str(tmp_path / "store")}}
    torch.set_num_threads(2)
    before = as_it_stands()
    found = transfuse.choose(sources, (IMAGES, LABELS), out=tmp_path / "choose", **more)
    assert as_it_stands() == before, "choose"
    found = transfuse.compare(
        sources,
        (IMAGES, LABELS),
        out=tmp_path / "run",
        candidates=["features/concat"],
        ladder="quick",
        train=quick,
        **more,
    )
    assert as_it_stands() == before, "compare"
    transfuse.fuse({**sources, "third": "demo:vgg"}, "features/concat", classes=3, canvas=12)
    assert as_it_stands() == before, "fuse"
    transfuse.merge("weights/mean", sources, data=torch.zeros(4, 3, 12, 12))
    assert as_it_stands() == before, "merge"
    transfuse.evaluate({name: np.eye(3)[LABELS] * 0.91 + 0.03 for name in "ab"}, LABELS)
    assert as_it_stands() == before, "evaluate"
    transfuse.load(found.folder)
    found.model(modules=sources)
    assert as_it_stands() == before, "load"
