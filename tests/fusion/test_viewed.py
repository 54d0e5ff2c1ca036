"""Answers over views are means of the answers to each; moved canvases are moved; saved and loaded they stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax

from transfuse.compress import Rows
from transfuse.compress._lift import compressed
from transfuse.errors import UserError
from transfuse.fusion.saved import load, save
from transfuse.fusion.viewed import Viewed, moved
from transfuse.registry import find


def test_a_canvas_is_moved_by_whole_pixels_and_its_edge_repeated():
    canvas = torch.arange(2 * 3 * 16, dtype=torch.float32).reshape(2, 3, 4, 4)
    padded = np.pad(canvas.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")
    for right, down in ((0, 0), (1, 0), (-2, 0), (0, 2), (1, -1)):
        wanted = padded[:, :, 2 - down : 6 - down, 2 - right : 6 - right]
        np.testing.assert_array_equal(moved(canvas, right, down).numpy(), wanted)


@pytest.mark.parametrize(("reach", "mirror", "count"), [(0.0625, False, 5), (0.1, True, 10), (0.0, True, 2)])
def test_an_answer_is_the_mean_of_the_probabilities_of_all_views(tiny, canvas, reach, mirror, count):
    source = tiny("one")
    model = Viewed(source, reach, mirror).eval()
    views = model.views(canvas)
    assert len(views) == count
    assert torch.equal(views[0], canvas)
    with torch.no_grad():
        each = [softmax(source(view).double().numpy(), axis=1) for view in views]
        np.testing.assert_allclose(model(canvas).exp().numpy(), np.mean(each, axis=0), atol=1e-6)
        tap = next(name for name in source.card.taps if name != "logits")
        assert torch.equal(model.blocks(canvas, [tap])[tap], source.blocks(canvas, [tap])[tap])


def test_nothing_moved_is_the_network_itself_and_numbers_are_averaged_as_they_are(tiny, canvas):
    source = tiny("one")
    with torch.no_grad():
        same = Viewed(source, 0.0, mirror=False).eval()(canvas)
        torch.testing.assert_close(same, source(canvas).log_softmax(dim=1))
        source.kind = "regression"
        model = Viewed(source, 0.1, mirror=False).eval()
        wanted = torch.stack([source(view) for view in model.views(canvas)]).mean(dim=0)
        torch.testing.assert_close(model(canvas), wanted)


def test_it_is_saved_and_loaded_gives_gradients_and_is_compressed_no_further(tiny, canvas, tmp_path):
    made = compressed(find("compress", "views"), tiny("one"), Rows(canvas.shape[-1]), {"reach": 0.1}).model
    assert isinstance(made, Viewed)
    save(made, tmp_path)
    loaded = load(tmp_path, modules={"one": tiny("one").network})
    with torch.no_grad():
        torch.testing.assert_close(loaded(canvas), made(canvas))
    given = canvas.clone().requires_grad_(True)
    made(given).sum().backward()
    assert given.grad is not None
    with pytest.raises(UserError, match="several views already"):
        compressed(find("compress", "bfloat16"), made, Rows(canvas.shape[-1]), {})
