"""Datasets of pairs, torch's and anybody's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transfuse.data.open import index, open_data, signature
from transfuse.errors import UserError

HERE = Path(".")
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)


class Pairs:
    """Items handed out as they were given."""

    def __init__(self, images, labels, classes=None) -> None:
        self.images, self.labels, self.classes = images, labels, classes

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int):
        return self.images[row], self.labels[row]


def test_every_form_of_an_image_is_the_same_item():
    torch = pytest.importorskip("torch")
    forms = [
        list(PIXELS),
        [Image.fromarray(pixels) for pixels in PIXELS],
        [torch.from_numpy(pixels.copy()).permute(2, 0, 1) for pixels in PIXELS],
    ]
    tables = [index(Pairs(images, [0, 1, 0, 1]), HERE) for images in forms]
    assert tables[0] == tables[1] == tables[2]
    np.testing.assert_array_equal(open_data(Pairs(forms[2], [0, 1, 0, 1]), HERE).raw(3), PIXELS[3])


def test_a_torch_dataset_of_float_tensors_is_read():
    torch = pytest.importorskip("torch")
    images = torch.from_numpy(PIXELS.copy()).permute(0, 3, 1, 2) / 255
    dataset = torch.utils.data.TensorDataset(images, torch.tensor([2, 0, -1, 2]))
    data = open_data(dataset, HERE)
    assert data.items.labels == ("2", "0", None, "2")
    np.testing.assert_array_equal(data.raw(1), (images[1].numpy()).transpose(1, 2, 0))
    assert data.raw(1).dtype == np.float32


def test_numbers_are_looked_up_in_the_classes():
    items = index(Pairs(PIXELS, [1, 0, None, np.int64(1)], classes=["owl", "ant"]), HERE)
    assert items.labels == ("ant", "owl", None, "ant")
    assert items.classes == ("ant", "owl")


def test_a_list_of_pairs_will_do():
    pairs = [(pixels, name) for pixels, name in zip(PIXELS, "abab", strict=True)]
    assert index(pairs, HERE).labels == tuple("abab")
    assert signature(pairs, HERE) == signature(list(pairs), HERE) != signature(pairs[::-1], HERE)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ([], "is empty"),
        ([(PIXELS[0], 0), PIXELS[1]], "must give pairs"),
        ([("a.png", 0)], "not an image"),
        ([(PIXELS[0], 0.5)], "name or a whole number"),
        ([(PIXELS[0].astype(float), 0)], r"item 0[\s\S]*before Normalize"),
        ([(PIXELS[0] / np.nan, 0)], "NaN"),
        (Pairs(PIXELS, [0, 2, 0, 0], classes=["a", "b"]), r"outside the Dataset's classes[\s\S]*0 to 1"),
    ],
)
def test_items_without_a_clear_meaning_are_refused(spec, message):
    with pytest.raises(UserError, match=message):
        index(spec, HERE)


def test_random_augmentation_inside_is_found():
    class Restless(Pairs):
        def __getitem__(self, row: int):
            self.images = self.images[:, ::-1]
            return super().__getitem__(row)

    with pytest.raises(UserError, match="change from one reading to the next"):
        index(Restless(PIXELS[:3], [0, 1, 0]), HERE)


def test_a_changed_dataset_does_not_fit_old_items():
    items = index(Pairs(PIXELS, [0, 1, 0, 1]), HERE)
    with pytest.raises(UserError, match="has changed"):
        open_data(Pairs(PIXELS, [0, 1]), HERE, items)


def test_the_data_room_imports_neither_torch_nor_scikit_learn():
    code = (
        "import sys; import transfuse.data.canvas, transfuse.data.leakage, transfuse.data.open as door; "
        "[entry.load() for entry in door.shelf(door.SHELF).values()]; "
        "sys.exit(' '.join({'torch', 'sklearn'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
