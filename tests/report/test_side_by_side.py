from __future__ import annotations

import copy
import re
from html.parser import HTMLParser

import pytest

from report.example import evidence, measurements
from report.full import full_record
from transfuse.report import html, text
from transfuse.report.side_by_side import Pair
from transfuse.report.view import View


def pair(change=None, names=("first", "second")) -> Pair:
    other = copy.deepcopy(evidence())
    if change is not None:
        change(other)
    return Pair(View(evidence(), measurements()), View(other, measurements()), names)


def words(blocks) -> str:
    return " ".join(str(block) for block in blocks)


def test_runs_on_the_same_rows_may_be_compared_and_others_may_not() -> None:
    def elsewhere(record):
        record["ledger"]["fingerprint"] = "another"

    assert pair().same_rows and "can be compared" in text.markdown(pair().document())
    assert not pair(elsewhere).same_rows
    assert "cannot be compared level by level" in text.markdown(pair(elsewhere).document())


def test_rows_that_nobody_knows_are_not_called_the_same() -> None:
    def unknown(record):
        record["ledger"] = {}

    found = Pair(pair(unknown).second, pair(unknown).second, ("a", "b"))
    assert not found.same_rows


def test_each_number_carries_the_mark_of_its_own_run() -> None:
    def worse(record):
        for row in record["evidence"]:
            if row["id"] == "accuracy:concat:test:clean":
                row["value"] = 0.111

    found = pair(worse)
    page = html.page(found.document())
    place = next(n for n, row in enumerate(evidence()["evidence"], 1) if row["id"] == "accuracy:concat:test:clean")
    assert re.search(rf'href="#A{place}"[^>]*>86\.4', page)
    assert re.search(rf'href="#B{place}"[^>]*>11\.1', page)
    assert f'id="A{place}"' in page and f'id="B{place}"' in page


def test_every_link_on_the_page_leads_somewhere() -> None:
    class Links(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.ids: set[str] = set()
            self.targets: set[str] = set()

        def handle_starttag(self, tag, attrs) -> None:
            facts = dict(attrs)
            if facts.get("id"):
                self.ids.add(facts["id"])
            if (facts.get("href") or "").startswith("#"):
                self.targets.add(facts["href"][1:])

    links = Links()
    links.feed(html.page(pair().document()))
    assert links.targets and links.targets <= links.ids


def test_lines_of_the_recipe_that_differ_are_shown_and_no_others() -> None:
    def changed(record):
        record["setup"]["recipe"] = str(record["setup"].get("recipe", "")) + "\nseeds: 77\n"

    assert "+seeds: 77" in text.markdown(pair(changed).document())
    assert "the same, line by line" in text.markdown(pair().document())


def test_a_comparison_that_one_run_lacks_is_said_to_be_lacking() -> None:
    def fewer(record):
        record["verdict"]["claims"] = record["verdict"]["claims"][:1]

    assert text.markdown(pair(fewer).document()).count("not compared") == len(evidence()["verdict"]["claims"]) - 1


def test_names_of_runs_are_shown_as_text() -> None:
    page = html.page(pair(names=("<script>alert(1)</script>", "b&b")).document())
    assert "<script>alert" not in page and "b&amp;b" in page


def test_the_same_two_runs_give_the_same_bytes() -> None:
    assert html.page(pair().document()) == html.page(pair().document())


@pytest.mark.parametrize("render", [html.page, text.markdown])
def test_runs_of_predictions_from_elsewhere_have_no_recipe_to_compare(render) -> None:
    def bare(record):
        record["setup"].pop("recipe", None)

    first, second = pair(bare).second, pair(bare).second
    assert "Neither run holds a recipe" in render(Pair(first, second, ("a", "b")).document())


def test_findings_of_both_stand_beside_each_other_and_what_one_did_not_ask_is_said() -> None:
    found = Pair(View(full_record()), View(evidence(), measurements()), ("asked", "plain"))
    table = next(blocks[0] for heading, blocks in found.sections() if heading.anchor == "findings")
    told = {row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in table.rows}
    assert told["Spoilt inputs"][0].startswith("The worst of them: concat errs on")
    assert told["Spoilt inputs"][1] == "not asked"
    assert all(text != "not asked" for text in told["Quality against cost"])


def test_the_answer_of_each_run_stands_at_the_top() -> None:
    text_of = text.markdown(pair().document())
    assert text_of.count("Shown better: concat against frozen/lite0, log-loss −0.054 nats") == 2
