"""Shares of sources, subsets, other tests and the optimism of choosing have their place where rows of them exist."""

from __future__ import annotations

from typing import Any

import pytest

from report.full import full_record
from report.test_report_full import section, spans_of
from transfuse.report.blocks import Chart, Table
from transfuse.report.compose import report
from transfuse.report.document import Document, listed, marked, shelved
from transfuse.report.html import page
from transfuse.report.record import Rows
from transfuse.report.text import markdown
from transfuse.report.view import View


def row(quantity: str, arm: str, value: float, versus: str | None = None, **more: Any) -> dict[str, Any]:
    fields = {
        "low": None,
        "high": None,
        "unit": "nats",
        "direction": "higher",
        "split": "selection",
        "method": "a ridge head",
    }
    return (
        {"id": f"{quantity}:{arm}:{versus}", "arm": arm, "quantity": quantity, "value": value, "versus": versus}
        | fields
        | more
    )


SETS = [
    {"of": [], "log_loss": 1.4, "accuracy": 0.25},
    {"of": ["a"], "log_loss": 0.5, "accuracy": 0.8},
    {"of": ["b"], "log_loss": 0.8, "accuracy": 0.7},
    {"of": ["a", "b"], "log_loss": 0.47, "accuracy": 0.81},
]


def document(*rows: dict[str, Any]) -> Document:
    record = full_record()
    added = {each["quantity"] for each in rows}
    record["evidence"] = [each for each in record["evidence"] if each["quantity"] not in added] + list(rows)
    return report(View(record))


def test_shares_of_the_gain_are_bars_with_intervals_and_a_pair_a_sentence() -> None:
    made = document(
        row("shapley", "a", 0.6, low=0.5, high=0.7),
        row("shapley", "b", 0.3, low=-0.1, high=0.7),
        row("shapley_interaction", "a", -0.2, "b"),
    )
    heading, blocks = section(made, "attribution")
    assert heading.finding.endswith("With a plain head on frozen features, shown to bring something: a.")
    shares = [block for block in blocks if isinstance(block, Chart)][1]
    assert "a: 0.600 [0.500, 0.700]; b: 0.300 [−0.100, 0.700]" in shares.summary
    assert any("Interaction of a and b" in str(block) for block in blocks)


def test_interactions_of_several_sources_are_a_heat_map_in_two_colours() -> None:
    pairs = [("a", "b", -0.2), ("a", "c", 0.1), ("b", "c", 0.05)]
    made = document(
        *(row("shapley", name, 0.3) for name in "abc"),
        *(row("shapley_interaction", one, value, other) for one, other, value in pairs),
    )
    shades = [span.shade for span in spans_of(section(made, "attribution")[1]) if span.shade]
    assert sorted(shades) == [("accent", 0.25), ("accent", 0.5), ("worse", 1.0)]


def test_the_lattice_says_which_cheaper_set_does_as_well() -> None:
    made = document(row("ridge_gain", "all sources", 0.93, provenance={"sets": SETS}))
    heading, blocks = section(made, "subsets")
    assert heading.finding == "a gains 0.900 nats, within 5 % of the best set, a + b (0.930)."
    found = next(block for block in blocks if isinstance(block, Table))
    assert [each.cells[0].text for each in found.rows] == ["a + b", "a", "b"]
    assert found.rows[0].cells[3].text == "2.00 MFLOP"


def test_a_lattice_where_no_smaller_set_comes_near() -> None:
    sets = [each | ({"log_loss": 1.2} if each["of"] == ["a"] else {}) for each in SETS]
    made = document(row("ridge_gain", "all sources", 0.93, provenance={"sets": sets}))
    assert section(made, "subsets")[0].finding.startswith("No cheaper set comes within 5 % of what a + b gains")


@pytest.mark.parametrize("sets", [None, [], SETS[1:], SETS[:2], [{"of": ["a"]}]])
def test_no_lattice_of_what_is_not_there(sets: Any) -> None:
    made = document(row("ridge_gain", "all sources", 0.93, provenance={"sets": sets}))
    assert "subsets" not in {heading.anchor for heading, _ in made.sections}


def test_a_lattice_of_many_sources_stays_small() -> None:
    names = [f"s{number}" for number in range(8)]
    sets = [
        {
            "of": [name for place, name in enumerate(names) if number >> place & 1],
            "log_loss": 2.0 - 0.1 * number.bit_count(),
        }
        for number in range(256)
    ]
    made = document(row("ridge_gain", "all sources", 0.8, provenance={"sets": sets}))
    chart = next(block for block in section(made, "subsets")[1] if isinstance(block, Chart))
    assert len(chart.wide) < 30_000
    assert "not drawn" in chart.caption


def test_other_tests_stand_beside_the_claims() -> None:
    common = {"unit": "probability", "direction": "lower", "split": "test"}
    made = document(
        row(
            "sign_flip_runs",
            "concat",
            0.25,
            "frozen/a",
            **common,
            provenance={"note": "no p below 0.25 can be reached"},
        ),
        row("sign_flip_items", "concat", 0.0002, "frozen/a", **common),
        row(
            "all_required", "concat", 0.6, **common, provenance={"required": ["frozen/a", "copies"], "open": ["copies"]}
        ),
    )
    heading, blocks = section(made, "checks")
    assert heading.finding.startswith(
        "Sign flips over runs: p below 0.05 in none of 1 comparisons; sign flips over items"
    )
    text = page(made)
    assert "no p below 0.25 can be reached" in text
    assert "better by more than the margin than all but copies" in text
    assert blocks


def test_the_optimism_of_choosing_is_told_with_the_choices() -> None:
    made = document(
        row("selection_optimism", "concat", -0.012, direction="lower", provenance={"sentence": "The best of 3."})
    )
    text = markdown(made)
    assert "**Optimism of choosing:** −0.012 nats. The best of 3." in text


def test_what_a_search_flattered_is_told_with_the_choices() -> None:
    about = {"searched": 138, "candidate": "gate a b"}
    made = document(
        row("search_optimism", "search", 0.004, direction="lower", split="selection", provenance=about),
        row("search_gain", "search", 0.059, low=0.044, high=0.079, split="selection", provenance=about),
    )
    assert (
        "**Search:** 138 fusions were looked at on features of the selection rows. Choosing among them flattered the"
        " best, gate a b, by 0.004 nats; with that taken off it is ahead of the best single by 0.059 nats,"
        " 95 % interval 0.044 to 0.079."
    ) in markdown(made)


def test_another_kind_of_record_is_a_document_of_its_own_rows() -> None:
    view = Rows([row("shapley", "a", 0.6)])
    lists = listed(view)
    made = Document(
        "Which source?",
        "three of them",
        shelved(view, "report/exports_none"),
        lists,
        marked(lists),
        brand="transfuse choose",
    )
    text = page(made)
    assert "transfuse choose" in text
    assert 'id="E1"' in text
    assert markdown(made).startswith("# Which source?")


def test_attacks_are_bounds_shaded_by_what_they_take() -> None:
    common = {"unit": "share", "split": "test"}
    made = document(
        row("robust_accuracy", "concat", 0.4, **common, condition="pgd@0.03"),
        row("worst_case_accuracy", "concat", 0.3, **common, condition="linf@0.03"),
        row("worst_case_accuracy", "concat", -0.2, "frozen/a", **common, condition="linf@0.03"),
        row("gradient_masking", "concat", 0.05, **common, provenance={"sentence": "5 % survive by hiding only."}),
    )
    heading, blocks = section(made, "attacks")
    assert heading.finding == "Under the worst attack tried, concat keeps at most 30.0 % (linf 0.03)."
    text = markdown(made)
    assert "5 % survive by hiding only." in text
    assert "upper bound" in text
    shades = [span.shade for span in spans_of(blocks) if span.shade]
    assert len(shades) == 3
    assert {shade[0] for shade in shades} == {"worse"}
