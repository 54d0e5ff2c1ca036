"""Columns that say nothing are told: by number of features, by name of a table's columns."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import torch

from transfuse import cells
from transfuse.fusion.joints import Completed, Standardise
from transfuse.steps import _idle

SCHEMA = (("weight",), ("same",), ("gap",), ("place", "sea", "wood"), ("one", "north"))
ROWS = [
    {"weight": "1", "same": "7", "gap": "2", "place": "sea", "one": "north"},
    {"weight": "2", "same": "7", "place": "wood", "one": "north"},
    {"weight": "3", "same": "7", "gap": "2", "place": "wood", "one": "north"},
]


@dataclass
class Crown:
    joints: list


def settled(joint, block: torch.Tensor):
    joint.settle(block)
    return joint


def card(name: str, columns=()):
    return SimpleNamespace(name=name, prepare=SimpleNamespace(columns=columns))


def of_features() -> Standardise:
    block = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    block[:, [1, 4]] = torch.tensor([0.0, 3.0])
    return settled(Standardise(6), block)


def test_features_are_counted_and_columns_of_a_table_are_named():
    block = torch.from_numpy(cells.encoded(ROWS, SCHEMA))
    of_table = settled(Completed(cells.width(SCHEMA), cells.numbers(SCHEMA)), block)
    crown = Crown([of_features(), of_table])
    reads = [[0, "vector", "plain", "block"], [1, "block", "plain"], [0, "map", "plain", "target"]]
    found = _idle.told(crown, reads, [card("vgg"), card("facts", SCHEMA)])  # pyright: ignore[reportArgumentType]
    assert found == [
        {"of": "vgg.vector", "idle": 2, "count": 6},
        # Where `gap` is missing says something.
        {"of": "facts.block", "idle": ["same", "one"], "count": 5},
    ]


def test_nothing_is_told_where_all_columns_vary_and_of_the_views_of_copies():
    whole = settled(Standardise(2), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    given = Crown([whole, of_features()]), [[0, "vector", "plain"], [0, "vector", "odd"]], [card("a")]
    assert _idle.told(*given) == []  # pyright: ignore[reportArgumentType]
    assert _idle.notes([{"idle": []}, {}]) == []


def test_notes_hold_for_all_fits_of_an_arm():
    def metas(*idle):
        return [{"idle": [{"of": "a.x", "idle": each, "count": 9}] if each else []} for each in idle]

    words = "columns of a.x that are the same in all training rows, and so say nothing: "
    assert _idle.notes(metas(2, 2)) == [words + "2 of 9"]
    assert _idle.notes(metas(2, 3)) == [words + "2 to 3 of 9"]
    assert _idle.notes(metas(2, 0)) == [words + "0 to 2 of 9"]
    assert _idle.notes(metas(["u", "v"], ["u"])) == [words + "u, in some runs v (of 9)"]
    assert _idle.notes(metas(["u"], [])) == [words + "in some runs u (of 9)"]
