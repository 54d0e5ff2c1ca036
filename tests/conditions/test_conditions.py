"""Every condition of the shelf keeps to the contract: canvases stay canvases, levels rise, draws belong to items."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest

from transfuse import conditions
from transfuse.conditions import gaussian_noise, under
from transfuse.errors import UserError
from transfuse.registry import shelf

ENTRIES = shelf("conditions")
CORRUPTIONS = [name for name, entry in ENTRIES.items() if entry.traits["kind"] == "corruption"]
DRAWN = {"gaussian_noise", "shot_noise", "impulse_noise", "rotation"}
EVERY = pytest.mark.parametrize("name", CORRUPTIONS)
IDS = ["train/7", "test/0", "a b", "é"]


def photos(side: int = 32, count: int = 4) -> np.ndarray:
    """Smooth patches with a little grain, like photographs: neighbours are alike."""
    rng = np.random.default_rng(side)
    smooth = np.stack([gaussian_filter(rng.random((3, side, side)), (0, side / 20, side / 20)) for _ in range(count)])
    low, high = smooth.min(axis=(1, 2, 3), keepdims=True), smooth.max(axis=(1, 2, 3), keepdims=True)
    grain = 0.03 * rng.standard_normal(smooth.shape)
    return np.clip((smooth - low) / (high - low) + grain, 0, 1).astype(np.float32)


def spoilt(name: str, level: float, images: np.ndarray, ids: list[str] | None = None) -> np.ndarray:
    chosen = ids or [str(row) for row in range(len(images))]
    return under(name, level, images, targets=np.zeros(len(images), dtype=np.int64), ids=chosen)


def test_there_are_corruptions_of_noise_blur_light_and_storage():
    assert set(CORRUPTIONS) >= {"gaussian_noise", "impulse_noise", "blur", "contrast", "brightness", "pixelate", "jpeg"}
    assert len(CORRUPTIONS) >= 8


@EVERY
def test_it_declares_its_law_its_source_and_five_levels(name):
    entry, level = ENTRIES[name], ENTRIES[name].parameters["level"]
    assert entry.law.endswith(".") and entry.citation
    assert [number for number in range(-1, 8) if level.problem(number) is None] == [1, 2, 3, 4, 5]


@EVERY
@pytest.mark.parametrize("side", [8, 33])
def test_canvases_stay_canvases_and_the_given_ones_stay_as_they_are(name, side):
    images = photos(side)
    before = images.copy()
    for level in (1, 5):
        changed = spoilt(name, level, images)
        assert changed.shape == images.shape and changed.dtype == np.float32
        assert changed.min() >= 0 and changed.max() <= 1
    np.testing.assert_array_equal(images, before)


@EVERY
@pytest.mark.parametrize("side", [28, 96])
def test_a_higher_level_is_further_from_the_clean_image(name, side):
    images = photos(side, 6)
    distances = [float(np.abs(spoilt(name, level, images) - images).mean()) for level in range(1, 6)]
    assert distances[0] > 0 and np.all(np.diff(distances) > 0), distances


def belongs_to_its_item(name: str) -> None:
    """Neither the batch nor the order changes a bit of any image."""
    images = photos()
    whole = spoilt(name, 3, images, IDS)
    for row, item in enumerate(IDS):
        np.testing.assert_array_equal(spoilt(name, 3, images[row : row + 1], [item])[0], whole[row])
    np.testing.assert_array_equal(spoilt(name, 3, images[::-1].copy(), IDS[::-1]), whole[::-1])


@EVERY
def test_neither_the_batch_nor_the_order_changes_a_bit(name):
    belongs_to_its_item(name)


def test_mutant_noise_by_the_place_in_the_batch_is_caught(monkeypatch):
    def each(x, ids, change):
        places = [str(place) for place in range(len(ids))]
        return conditions.each(x, places, change)

    monkeypatch.setattr(gaussian_noise, "each", each)
    with pytest.raises(AssertionError):
        belongs_to_its_item("gaussian_noise")


@EVERY
def test_only_drawn_corruptions_depend_on_the_id(name):
    images = np.repeat(photos(count=1), 12, axis=0)
    ids = [str(row) for row in range(11)] + ["0"]
    changed = spoilt(name, 4, images, ids)
    np.testing.assert_array_equal(changed[0], changed[11])
    assert (len({one.tobytes() for one in changed}) > 1) == (name in DRAWN)


@EVERY
def test_the_global_random_state_is_left_alone(name):
    before = repr(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002 - it is looked at, not used
    spoilt(name, 2, photos())
    assert repr(np.random.get_state()) == before[0] and torch.equal(torch.get_rng_state(), before[1])  # noqa: NPY002


@EVERY
def test_no_images_give_no_images(name):
    assert spoilt(name, 1, photos()[:0]).shape == (0, 3, 32, 32)


@pytest.mark.parametrize("name", ["blur", "contrast", "pixelate", "rotation"])
def test_an_even_image_has_nothing_to_lose(name):
    even = np.full((1, 3, 16, 16), 0.3, dtype=np.float32)
    np.testing.assert_allclose(spoilt(name, 5, even), even, atol=1e-6)


def test_brightness_and_contrast_are_their_formulas():
    images = photos()
    np.testing.assert_allclose(spoilt("brightness", 2, images), np.minimum(images + 0.2, 1), atol=1e-6)
    mean = images.mean(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(spoilt("contrast", 5, images), mean + 0.05 * (images - mean), atol=1e-6)


def test_noise_has_the_spread_it_states():
    grey = np.full((4, 3, 64, 64), 0.5, dtype=np.float32)
    assert spoilt("gaussian_noise", 1, grey).std() == pytest.approx(0.08, rel=0.03)
    shot = spoilt("shot_noise", 1, grey)
    assert shot.mean() == pytest.approx(0.5, abs=0.003) and shot.std() == pytest.approx((0.5 / 60) ** 0.5, rel=0.03)


def test_impulses_hit_their_share_of_values_and_more_of_the_same_at_a_higher_level():
    grey = np.full((4, 3, 64, 64), 0.5, dtype=np.float32)
    hit = {level: spoilt("impulse_noise", level, grey) != 0.5 for level in (1, 5)}
    assert binomtest(int(hit[5].sum()), hit[5].size, 0.27).pvalue > 1e-4
    assert not (hit[1] & ~hit[5]).any()


def test_a_jpeg_is_what_pillow_writes_and_reads():
    image = photos(count=1)
    file = io.BytesIO()
    Image.fromarray(np.round(255 * image[0].transpose(1, 2, 0)).astype(np.uint8)).save(file, "JPEG", quality=10)
    read = np.asarray(Image.open(file), dtype=np.float32).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(spoilt("jpeg", 4, image)[0], read, atol=1e-7)


def test_an_item_turns_to_the_same_side_at_every_level():
    """The edge of a ramp moves by more at a higher level, in the same direction."""
    ramp = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (1, 3, 32, 1))
    ramps, ids = np.repeat(ramp, 8, axis=0), [str(row) for row in range(8)]
    tilt = {level: (spoilt("rotation", level, ramps, ids) - ramps)[:, 0, 4].sum(axis=1) for level in (1, 5)}
    assert set(np.sign(tilt[1])) == {-1.0, 1.0}
    np.testing.assert_array_equal(np.sign(tilt[1]), np.sign(tilt[5]))


def test_an_unknown_condition_and_an_unknown_level_are_refused():
    with pytest.raises(UserError, match="gaussian_noise"):
        spoilt("gausian_noise", 1, photos())
    with pytest.raises(UserError, match="from 1 to 5"):
        spoilt("blur", 6, photos())


@pytest.mark.parametrize(
    "wrong", [lambda x: x + 2, lambda x: x.double(), lambda x: x[:, :1], lambda x: x * float("nan")]
)
def test_a_condition_that_gives_no_canvas_is_refused(wrong, monkeypatch):
    module = SimpleNamespace(apply=lambda x, *_: wrong(x))
    entry = SimpleNamespace(settings=lambda given: given, load=lambda: module, full_name="conditions/wrong")
    monkeypatch.setattr(conditions, "find", lambda shelf, name: entry)
    with pytest.raises(UserError, match="canvases like those"):
        spoilt("wrong", 1, photos())
