"""Small image folders and tables for the data tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transfuse.data.items import Items, table


@pytest.fixture
def photo(tmp_path: Path) -> Callable[[str], Path]:
    """Write one 6 x 5 noise image, different for each name, under the temporary folder."""

    def write(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(list(name.encode())).integers(0, 256, (5, 6, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        return path

    return write


@pytest.fixture
def make_items() -> Callable[..., Items]:
    """An item table from labels; ids are `i0`, `i1`, … and digests differ."""

    def make(
        labels: Sequence[str | None],
        *,
        groups: Sequence[str] | None = None,
        splits: Sequence[str | None] | None = None,
        digests: Sequence[str] | None = None,
    ) -> Items:
        ids = [f"i{row}" for row in range(len(labels))]
        return table(ids, labels, digests or [f"d{row}" for row in range(len(labels))], groups=groups, splits=splits)

    return make
