"""Every fusing method of every family keeps every law of its contract; one item for each (method, law)."""

from __future__ import annotations

import pytest

from transfuse.fusion.checks import checks_for
from transfuse.registry import FAMILIES, shelf

ENTRIES = [entry for family in FAMILIES for entry in shelf(f"fusion/{family}").values()]
CASES = [(entry, each) for entry in ENTRIES for each in checks_for(entry)]


@pytest.mark.parametrize("each", [each for _, each in CASES], ids=[f"{e.full_name}-{c.name}" for e, c in CASES])
def test_law(each):
    each.run()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.full_name)
def test_each_law_is_one_sentence_and_has_one_name(entry):
    laws = checks_for(entry)
    assert len({each.name for each in laws}) == len(laws) >= 15
    assert all(each.law.endswith(".") for each in laws)


def test_every_family_has_a_method():
    assert {entry.shelf for entry in ENTRIES} == {f"fusion/{family}" for family in FAMILIES}
