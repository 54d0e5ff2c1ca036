"""Every compression keeps every law; those of quantising, which export graphs, in the long suite."""

from __future__ import annotations

import pytest

from transfuse.compress._checks import checks_for
from transfuse.registry import shelf

ENTRIES = [*shelf("compress").values()]
SLOW = ("quantise",)
CASES = [
    pytest.param(each, id=f"{entry.name}-{each.name}", marks=[pytest.mark.exhaustive] if entry.name in SLOW else [])
    for entry in ENTRIES
    for each in checks_for(entry)
]


@pytest.mark.parametrize("each", CASES)
def test_law(each):
    each.run()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_each_law_is_one_sentence_and_has_one_name(entry):
    laws = checks_for(entry)
    assert len({each.name for each in laws}) == len(laws) >= 15
    assert all(each.law.endswith(".") for each in laws)
