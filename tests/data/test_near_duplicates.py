"""Near-duplicates: copies are found however they were saved, strangers are not, and what is found is exact."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from transfuse.data import near_duplicates
from transfuse.data.items import Items, table
from transfuse.data.near_duplicates import THRESHOLD, alike, clustered, described, marks
from transfuse.data.open import index, open_data, signature
from transfuse.data.split import partition
from transfuse.errors import UserError


def picture(seed: int, side: int = 60) -> np.ndarray:
    """Smooth blobs of colour, as photos have them: [S, S, 3] uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def resized(image: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))


def recompressed(image: np.ndarray) -> np.ndarray:
    held = io.BytesIO()
    Image.fromarray(image).save(held, "JPEG", quality=40)
    return np.asarray(Image.open(held))


CHANGES = {
    "larger": lambda image: resized(image, 97),
    "smaller": lambda image: resized(image, 33),
    "recompressed": recompressed,
    "darker": lambda image: (image * 0.6).astype(np.uint8),
    "float": lambda image: (image / 255).astype(np.float32),
    "sixteen bits, faint": lambda image: (0.004 * image[..., :1] / 255).repeat(3, axis=2).astype(np.float32),
    "a dot": lambda image: np.where(np.arange(60)[:, None, None] + np.arange(60)[:, None] < 4, 0, image).astype(
        np.uint8
    ),
}


def items_of(images: list[np.ndarray], **columns) -> Items:
    names = [f"i{row:02d}" for row in range(len(images))]
    return table(names, ["a", "b"] * (len(names) // 2) + ["a"] * (len(names) % 2), names, **columns)


def grouped(images: list[np.ndarray], **columns) -> list[str]:
    found = clustered(items_of(images, **columns), lambda row: images[row])
    return list(found.groups or ())


@pytest.mark.parametrize("change", [name for name in CHANGES if name != "sixteen bits, faint"])
def test_a_copy_is_found_after_every_harmless_change(change):
    image = picture(0)
    assert grouped([image, picture(1), CHANGES[change](image)]) == ["i00", "i01", "i00"]


def test_contrast_of_sixteen_bits_is_not_lost():
    grey = picture(0)[..., :1].repeat(3, axis=2)
    assert grouped([grey, CHANGES["sixteen bits, faint"](grey), picture(1)]) == ["i00", "i00", "i02"]


def test_strangers_and_mirror_images_stay_apart():
    images = [picture(seed) for seed in range(40)]
    assert len(set(grouped([*images, images[0][:, ::-1]]))) == 41


def test_colour_alone_makes_no_difference_and_grey_images_are_read():
    grey = np.asarray(Image.fromarray(picture(0)).convert("L"))
    assert grouped([picture(0), grey]) == ["i00", "i00"]


def test_near_duplicates_of_near_duplicates_are_one_cluster():
    one, other = (near_duplicates._mark(picture(seed)).astype(float) for seed in (0, 1))
    chain = [np.rint(one + share * (other - one)).astype(np.uint8).reshape(16, 16) for share in np.linspace(0, 1, 30)]
    assert len(set(grouped(chain))) == 1
    assert not alike(marks(chain.__getitem__, [0]), marks(chain.__getitem__, [29]))[0, 0]


def test_images_of_one_tone_are_alike_only_when_they_are_copies():
    plain = [np.full((9, 9), shade, np.uint8) for shade in (255, 255, 200)]
    assert grouped(plain) == ["i00", "i01", "i02"]
    items = replace(items_of(plain), digests=("same", "same", "else"))
    assert clustered(items, plain.__getitem__).groups == ("i00", "i00", "i02")


def test_declared_groups_stay_whole():
    images = [picture(0), picture(1), resized(picture(1), 40), picture(2)]
    assert grouped(images, groups=["x", "x", "y", "z"]) == ["i00", "i00", "i00", "i03"]


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 99))
def test_neither_order_nor_blocks_change_the_clusters(seed):
    rng = np.random.default_rng(seed)
    images = [picture(int(rng.integers(0, 6)), int(rng.integers(20, 60))) for _ in range(14)]
    items = items_of(images)
    order = rng.permutation(14)
    wanted = dict(zip(items.ids, clustered(items, images.__getitem__).groups, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "BLOCK", 3)
        found = clustered(items.take(order), lambda row: images[order[row]])
    assert dict(zip(found.ids, found.groups, strict=True)) == wanted


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 999), levels=st.sampled_from([2, 4, 256]))
def test_the_fast_form_is_the_correlation(seed, levels):
    images = np.random.default_rng(seed).integers(0, levels, (8, 256), dtype=np.uint8)
    images[4:] = images[:4]
    images[4:, : seed % 30] = 0
    np.testing.assert_array_equal(alike(images, images), np.corrcoef(images) >= THRESHOLD)


def test_too_many_images_are_refused_before_any_is_opened(monkeypatch):
    monkeypatch.setattr(near_duplicates, "MOST_IMAGES", 2)
    with pytest.raises(UserError, match=r"too many images[\s\S]*at most 2[\s\S]*column of groups"):
        clustered(items_of([picture(0)] * 3), lambda row: pytest.fail("opened"))


def test_the_note_counts_clusters_and_names_disagreeing_labels(make_items):
    items = make_items(["a", "a", "b", "b", "b"], groups=["u", "u", "v", "w", "v"])
    assert described(items) == ["2 clusters of near-duplicates cover 4 images (the largest 2); they stay on one side"]
    mixed = make_items(["a", "b", None, "b"], groups=["u", "u", "v", "v"])
    assert described(mixed)[1] == "1 of these clusters hold images of more than one class"
    assert described(make_items(["a", "b"], groups=["u", "v"])) == ["no two images are near-duplicates"]


@pytest.fixture
def folder(tmp_path):
    """Two classes of twenty pictures; of the first four in each, a smaller copy stands beside them."""
    for number in range(40):
        label = "even" if number % 2 == 0 else "odd"
        (tmp_path / "set" / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number)).save(tmp_path / "set" / label / f"{number:02d}.png")
        if number < 8:
            Image.fromarray(resized(picture(number), 40)).save(tmp_path / "set" / label / f"{number:02d}-copy.jpg")
    return tmp_path


@pytest.mark.parametrize("protocol", ["crossfit", "locked"])
def test_near_duplicates_never_stand_on_both_sides(folder, protocol):
    items = index({"read": "set", "groups": "near_duplicates"}, folder)
    assert len(set(items.groups)) == 40
    for run in partition(items, protocol=protocol, repeats=2 if protocol == "crossfit" else 1).runs:
        learning = np.concatenate([run.train, run.calibrate, *(fit.held for fit in run.fits)])
        assert not {items.groups[row] for row in learning} & {items.groups[row] for row in run.judge}


def test_groups_are_part_of_what_an_index_is_kept_by(folder):
    plain, grouping = {"read": "set"}, {"read": "set", "groups": "near_duplicates"}
    assert signature(plain, folder) == signature("set", folder) != signature(grouping, folder)
    assert open_data(grouping, folder).items == index(grouping, folder)
    assert index(plain, folder).groups is None


@pytest.mark.parametrize("groups", ["near_duplicate", "camera", 3])
def test_an_unknown_kind_of_groups_is_refused(folder, groups):
    with pytest.raises(UserError, match=r"unknown kind of groups[\s\S]*near_duplicates"):
        index({"read": "set", "groups": groups}, folder)
