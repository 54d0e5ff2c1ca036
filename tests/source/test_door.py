"""The two sides of the door: preparation computes its formula, and images that lie on no canvas do not pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from transfuse.errors import UserError
from transfuse.source.door import Preparation, block_of, canvas_of, raw_of
from transfuse.types import Prepare, Tap


def test_scale_order_and_normalisation_follow_the_formula(canvas):
    mean = (103.939, 116.779, 123.68)
    out = Preparation(Prepare(64, mean, (2.0, 1.0, 1.0), 255.0, "bgr"), resize=False)(canvas)
    assert torch.allclose(out[:, 0], (canvas[:, 2] * 255 - mean[0]) / 2, atol=1e-4)
    assert torch.allclose(out[:, 2], canvas[:, 0] * 255 - mean[2], atol=1e-4)


def test_grey_is_the_luma_of_pillow():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    ours = Preparation(Prepare(8, (0.0,), (1.0,), channels=1), resize=False)
    grey = ours(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)[0, 0] * 255
    assert np.abs(grey.numpy() - np.asarray(Image.fromarray(pixels).convert("L"), dtype=float)).max() <= 1.01


def test_only_a_bound_network_is_resized(canvas):
    prepare = Prepare(32)
    assert Preparation(prepare, resize=True)(canvas).shape == (2, 3, 32, 32)
    assert Preparation(prepare, resize=False)(canvas).shape == (2, 3, 64, 64)


@pytest.mark.parametrize("prepare", [Prepare(32), Prepare(32, (0.5,), (0.5,), channels=1), Prepare(96, order="bgr")])
def test_gradients_reach_every_pixel(canvas, prepare):
    canvas.requires_grad_()
    Preparation(prepare, resize=True)(canvas).sum().backward()
    assert (canvas.grad != 0).all()


def test_the_canvas_is_not_changed(canvas):
    before = canvas.clone()
    Preparation(Prepare(64, order="bgr"), resize=False)(canvas)
    assert torch.equal(canvas, before)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (torch.rand(2, 1, 8, 8), "canvas"),
        (torch.rand(3, 8, 8), "canvas"),
        (torch.rand(2, 3, 8, 9), "canvas"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "floats"),
        (torch.rand(2, 3, 8, 8) * 255, r"not in \[0, 1\]"),
        (torch.rand(2, 3, 8, 8) - 0.5, r"not in \[0, 1\]"),
        (torch.full((2, 3, 8, 8), torch.nan), r"not in \[0, 1\]"),
        ({"text": "a"}, "wants images"),
        (np.zeros((2, 3, 8, 8), dtype=np.float32), r"(?s)wants images.*ndarray.*torch\.from_numpy"),
        ([[0.5]], "(?s)wants images.*list"),
    ],
)
def test_images_that_lie_on_no_canvas_are_refused(images, says):
    with pytest.raises(UserError, match=says):
        canvas_of(images)


def test_images_of_double_precision_are_those_of_single(canvas):
    found = canvas_of(canvas.double())
    assert found.dtype is torch.float32 and torch.equal(found, canvas)
    assert canvas_of(canvas.half()).dtype is torch.float16


def test_a_mapping_gives_its_images(canvas):
    assert canvas_of({"image": canvas, "id": ["a", "b"]}) is canvas


def test_blocks_of_the_other_layout_go_there_and_back():
    tap = Tap("map", "map", 5, "x", layout="nhwc")
    raw = torch.rand(2, 3, 4, 5)
    assert block_of(tap, raw).shape == (2, 5, 3, 4)
    assert torch.equal(raw_of(tap, block_of(tap, raw)), raw)


def test_a_pooled_block_is_the_mean_over_the_plane_or_the_tokens():
    raw = torch.rand(2, 5, 3, 4)
    assert torch.allclose(block_of(Tap("vector", "vector", 5, "x", pooled=True), raw), raw.flatten(2).mean(2))
    assert block_of(Tap("vector", "vector", 5, "x", pooled=True), torch.rand(2, 7, 5)).shape == (2, 5)
