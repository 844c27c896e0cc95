"""The handbook's page shows one exchange, which is the golden files, and the numbers that the adapter has."""

import json
import re
from pathlib import Path

from etsi_exchange import GOLDEN

from adapters.etsi import targets, terms

PAGE = (Path(__file__).parents[2] / "service" / "handbook" / "en" / "etsi.md").read_text("utf-8")


def test_the_exchange_on_the_page_is_the_golden_files() -> None:
    shown = re.findall(r"<!-- golden: (\S+) -->\n```json\n(.*?)\n```", PAGE, re.DOTALL)
    assert [name for name, _ in shown] == [
        "takedown.request",
        "takedown.response",
        "takedown.resolved",
        "takedown.resolved.response",
    ]
    for name, text in shown:
        assert json.loads(text) == json.loads((GOLDEN / f"{name}.json").read_text("utf-8")), name


def test_the_tables_of_numbers_are_the_adapters() -> None:
    rows = {int(number): said for number, said in re.findall(r"^\| ([12]\d{3}) \| (.*) \|$", PAGE, re.MULTILINE)}
    assert {number: said.strip("`") for number, said in rows.items() if number >= 2000} == dict(terms.REASONS)
    assert {number for number in rows if number < 2000} == {int(wrong) for wrong in terms.Wrong}
    for owner, name in targets.FORMATS.values():
        assert f"`{name}`" in PAGE, owner
