"""What `make bench` writes down, without measuring anything."""

import json
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import pytest

from benchmarks import events
from benchmarks.contenders import rows
from benchmarks.report import Part, Ratio, Series, write
from participation import event, message
from participation.ingest.decode import event_row
from participation.store.ingest.events import copy_text


def _part(name: str) -> Part:
    series = [Series("ours & theirs", "events/s", [3.0, 1.0, 2.0]), Series("limit", "ms", [0.0])]
    return Part(name, f"Title of {name}", series, [Ratio("against", 2.0, 1.0, "at least")], ["A note."])


@pytest.mark.parametrize(
    ("sense", "value", "holds"),
    [("at least", 1.0, True), ("at least", 0.99, False), ("at most", 1.0, True), ("at most", 1.01, False)],
)
def test_ratio__goal_itself_holds(sense: Literal["at least", "at most"], value: float, holds: bool) -> None:
    assert Ratio("r", value, 1.0, sense).holds is holds


def test_write__page_has_every_part_measured_so_far(tmp_path: Path) -> None:
    write(tmp_path, _part("drain"), {"CPUs": "2"})
    write(tmp_path, _part("enqueue"), {"CPUs": "8"})
    page = (tmp_path / "README.md").read_text()
    assert all(text in page for text in ("Title of drain", "Title of enqueue", "CPUs 2", "CPUs 8"))
    assert json.loads((tmp_path / "drain.json").read_text())["series"][0]["median"] == 2.0


def test_write__chart_is_well_formed(tmp_path: Path) -> None:
    write(tmp_path, _part("drain"), {})
    texts = [element.text for element in ElementTree.parse(tmp_path / "drain.svg").iter() if element.text]
    assert "ours & theirs" in texts


def test_contenders__store_the_row_that_participation_stores() -> None:
    for item in events.events(200):
        ours = event_row(event.decode(message.decode(message.encode(item)).argument))
        theirs = [copy_text(value) for value in rows.row(item)]
        theirs[2] = theirs[2].replace("-", "")
        assert theirs == list(ours)[:-1]
