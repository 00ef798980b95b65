"""The table of rules: a seed is a table, and gates side by side are one run."""

from __future__ import annotations

import json

import pytest

from bench.judgement.__main__ import main, measure
from bench.judgement.rows import rows

ROWS = {row.name: row for row in rows()}


def test_every_row_has_a_name_of_its_own() -> None:
    assert len(ROWS) == len(list(rows()))


def test_a_cell_depends_on_nothing_but_its_seed() -> None:
    row = ROWS["errors 0.5 % + 1"]
    assert measure(row, 1, 30, 7) == measure(row, 1, 30, 7) != measure(row, 1, 30, 8)


def test_a_fixed_threshold_rejects_what_evidence_lets_pass() -> None:
    cells = measure(ROWS["errors 2.0 %"], 1, 50, 1)
    assert (cells.f5.failed, cells.f1.failed, cells.seq.failed) == (50, 50, 0)


def test_two_gates_prove_later_than_one() -> None:
    one, both = (measure(ROWS[name], 1, 100, 1).seq for name in ("errors 0.5 %", "errors 0.5 %, slow 0.6 %"))
    assert both.proved < one.proved
    assert one.proved_median is not None
    assert both.proved_median is not None
    assert both.proved_median > one.proved_median


def test_the_table_says_its_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--runs", "1", "--seed", "42", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["seed"], found["runs"]) == (42, 1)
    assert len(found["cells"]) == sum(len(row.rates) for row in rows())
    assert main(["--runs", "1", "--seed", "42"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("seed 42, 1 trials a cell")
    assert all(name in text for name in ROWS)
