"""Joints make blocks comparable without ever looking at the batch they are given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from transfuse import cells
from transfuse.fusion.joints import Completed, Standardise, pooled


def drawn(*shape):
    return 3 + 5 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def settled(block):
    joint = Standardise(block.shape[1])
    joint.settle(block)
    return joint


def test_a_vector_is_standardised_as_scikit_learn_does():
    block = drawn(50, 4)
    wanted = StandardScaler().fit_transform(block.double().numpy())
    assert np.allclose(settled(block)(block).numpy(), wanted, atol=1e-5)


def test_a_map_is_standardised_per_channel_over_rows_and_places():
    block = drawn(20, 3, 5, 4)
    found = settled(block)(block)
    assert torch.allclose(found.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(found.std(dim=(0, 2, 3), unbiased=False), torch.ones(3), atol=1e-5)


def test_before_it_is_settled_a_block_passes_unchanged():
    block = drawn(5, 4)
    assert torch.equal(Standardise(4)(block), block)


def test_other_rows_do_not_move_a_row():
    block, joint = drawn(30, 4), settled(drawn(50, 4))
    assert torch.equal(joint(block)[:1], joint(block[:1]))


def test_a_constant_channel_becomes_zero():
    block = torch.cat([drawn(10, 1), torch.full((10, 1), 7.25)], dim=1)
    assert torch.equal(settled(block)(block)[:, 1], torch.zeros(10))


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1e-3, 1e6])
def test_a_block_says_the_same_at_any_scale(scale):
    """An untrained network's answers may all be tiny; its columns are no less there."""
    block = drawn(50, 4)
    assert torch.allclose(settled(scale * block)(scale * block), settled(block)(block), atol=1e-4)


def test_what_rounding_alone_moves_or_is_nothing_beside_the_rest_is_not_made_loud():
    block = drawn(50, 4)
    block[:, 1] = 1000 + 1e-4 * (torch.arange(50) % 2)
    block[:, 2] *= 1e-8
    found = settled(block)(block)
    assert found[:, 1:3].abs().max() < 1e-3 and found[:, 3].std(unbiased=False) == pytest.approx(1, abs=1e-4)
    assert torch.equal(settled(torch.zeros(9, 2))(torch.zeros(9, 2)), torch.zeros(9, 2))


def test_columns_of_a_table_have_each_a_unit_of_their_own():
    """Moles beside dollars: a small number is no constant, a large one that never moves is."""
    block = torch.cat([1e-9 * drawn(50, 1), 1e6 * drawn(50, 1), torch.full((50, 1), 0.1), torch.zeros(50, 3)], dim=1)
    joint = Completed(6, 3)
    joint.settle(block)
    assert joint.kept.tolist() == [1, 1, 0, 0, 0, 0]
    assert torch.allclose(joint(block)[:, :2].std(dim=0, unbiased=False), torch.ones(2), atol=1e-4)


def test_the_statistics_travel_with_the_state():
    block = drawn(10, 4)
    twin = Standardise(4)
    twin.load_state_dict(settled(block).state_dict())
    assert torch.equal(twin(block), settled(block)(block))


def test_one_training_row_is_enough():
    block = drawn(1, 4)
    assert torch.equal(settled(block)(block), torch.zeros(1, 4))


@pytest.mark.parametrize(("shape", "axes"), [((2, 3), ()), ((2, 5, 3), (1,)), ((2, 3, 4, 4), (2, 3))])
def test_pooled_is_a_vector_per_row(shape, axes):
    block = drawn(*shape)
    assert torch.equal(pooled(block), block.mean(dim=axes) if axes else block)
    assert pooled(block).shape == (2, 3)


PLACES = ["sea", "town", "wood"]


def tabled(count, seed=0):
    """Rows with a number far from zero that is often missing, another, and a category; as cells and as an array."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "year": "" if rng.random() < 0.3 else f"{1990 + 10 * rng.normal():.3f}",
            "age": f"{rng.normal():.3f}",
            "place": str(rng.choice(PLACES)),
        }
        for _ in range(count)
    ]
    array = np.array([[row["year"] or np.nan, row["age"], row["place"]] for row in rows], dtype=object)
    array[:, :2] = array[:, :2].astype(float)
    return rows, array, rng.integers(0, 2, count)


def test_columns_are_completed_and_standardised_as_scikit_learn_does_on_the_training_rows_alone():
    schema = (("year",), ("age",), ("place", *PLACES))
    (train, given, labels), (test, asked, _) = tabled(80), tabled(40, seed=1)
    joint = Completed(cells.width(schema), 2)
    joint.settle(torch.from_numpy(cells.encoded(train, schema)))
    found = [joint(torch.from_numpy(cells.encoded(rows, schema))).numpy() for rows in (train, test)]
    # The scaler passes over what is missing; a constant after it is the mean before it.
    numbers = make_pipeline(StandardScaler(), SimpleImputer(strategy="constant", fill_value=0, add_indicator=True))
    categories = make_pipeline(OneHotEncoder(categories=[PLACES], sparse_output=False), StandardScaler())
    oracle = make_column_transformer((numbers, [0, 1]), (categories, [2])).fit(given)
    wanted = [oracle.transform(array).astype(float) for array in (given, asked)]
    # Its indicator is not scaled, and there is none of what was never missing; ours is 0 there.
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours[:, [0, 1, 4, 5, 6]], theirs[:, [0, 1, 3, 4, 5]], atol=2e-4)
        assert not ours[:, 3].any()
    heads = [LogisticRegression(C=1e6, max_iter=5000).fit(x[0], labels) for x in (found, wanted)]
    answers = [head.predict_proba(x[1]) for head, x in zip(heads, (found, wanted), strict=True)]
    np.testing.assert_allclose(answers[0], answers[1], atol=2e-3)


def test_what_no_training_row_had_says_nothing():
    schema = (("a",), ("place", *PLACES))
    joint = Completed(cells.width(schema), 1)
    joint.settle(torch.from_numpy(cells.encoded([{"a": "1", "place": "sea"}, {"a": "2", "place": "town"}], schema)))
    unseen = joint(torch.from_numpy(cells.encoded([{"a": "", "place": "wood"}], schema)))
    assert unseen[0, [0, 1, 4]].tolist() == [0, 0, 0]
