"""A proposal is the most accurate model that the winner's FLOPs can pay, from the package's own metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from transfuse.steps import Context, propose
from transfuse.steps.evaluate import _proposal
from transfuse.store import Artifact, Store

CONTEXT = Context(Store(Path()), Path())


def proposed(flops: float, sources: tuple[str, ...] = (), canvas: int = 224) -> dict[str, Any]:
    inputs = {"winner": Artifact({"inference_flops": flops}, {})}
    return propose.run({"canvas": canvas, "sources": list(sources)}, inputs, CONTEXT)[0]


@pytest.fixture(scope="module")
def known() -> dict[str, dict[str, Any]]:
    return {f"{entry['model']}@{entry['tag']}": entry for entry in propose._known(224)}


def test_the_published_figures_of_resnet18(known: dict[str, dict[str, Any]]) -> None:
    found = known["resnet18@IMAGENET1K_V1"]
    assert found["accuracy"] == pytest.approx(69.758)
    assert found["flops"] == pytest.approx(2 * 1.814e9, rel=1e-3)


def test_the_best_within_the_limit_is_proposed(known: dict[str, dict[str, Any]], monkeypatch: Any) -> None:
    monkeypatch.setattr(propose, "_known", lambda canvas: list(known.values()))
    found = proposed(4e9)
    assert found["flops"] <= 4e9
    assert found["accuracy"] == max(entry["accuracy"] for entry in known.values() if entry["flops"] <= 4e9)
    other = proposed(4e9, (f"torchvision:{found['model']}@X",))
    assert other["model"] not in (None, found["model"]) and other["accuracy"] <= found["accuracy"]


def test_too_small_a_limit_proposes_nothing_and_says_so(monkeypatch: Any) -> None:
    monkeypatch.setattr(propose, "_known", lambda canvas: [])
    found = proposed(10.0)
    assert found["model"] is None
    assert "no classifier" in _proposal(found)


def test_the_proposal_can_be_pasted_into_the_recipe() -> None:
    meta = {
        "model": "resnet18",
        "tag": "IMAGENET1K_V1",
        "accuracy": 69.758,
        "flops": 3.6e9,
        "limit": 4e9,
        "pixels": 224,
    }
    assert "write `alternative: torchvision:resnet18@IMAGENET1K_V1`" in _proposal(meta)
