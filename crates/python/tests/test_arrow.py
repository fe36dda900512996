"""Arrow tables."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from conftest import Tool, block, calling, of_line, other_gas, without_funds

import braid_evm
from braid_evm import arrow
from braid_evm.sources import expand


def test_a_row_for_each_block_as_the_tool_has_it(tool: Tool, blocks: Path) -> None:
    files = list(expand([blocks]))
    table = arrow.verify(files, rounds=1)
    assert table.schema == arrow.VERIFY
    _, [*lines, _] = tool("run", "--json", "--rounds", "1", blocks)
    for name in ("file", "block", "txs", "ok", "gas", "error", "transaction", "skipped"):
        assert table[name].to_pylist() == [of_line(line, name) for line in lines], name
    checks = [None if it is None else dict(it) for it in table["checks"].to_pylist()]
    assert checks == [line.get("checks") for line in lines]


def test_all_kinds_of_failures_are_rows() -> None:
    absent = "0x" + "ab" * 32
    lacking = calling(absent)
    lacking["meta"]["absent_codes"] = [absent]
    blocks = [b"{", without_funds(2), lacking, braid_evm.generate("transfers", txs=2)]
    wanted = ["UnreadableBlock", "InvalidBlock", "StateUnavailable", None]
    for make in (arrow.verify, arrow.execute, arrow.explain):
        table = make(blocks)
        assert table["error_kind"].to_pylist() == wanted
        assert table["ok"].to_pylist() == [False, False, False, True]
        assert table["transaction"].to_pylist() == [None, 2, 3, None]
        assert table["file"].to_pylist() == ["<bytes>[0]", "<dict>[1]", "<dict>[2]", "<bytes>[3]"]


def test_a_row_that_differs_says_where() -> None:
    table = arrow.verify([other_gas(), braid_evm.generate("transfers", txs=2)])
    [differences, none] = table["differences"].to_pylist()
    assert "gasUsed: expected 1, found" in differences[0] and not none
    assert table["error"].to_pylist() == ["; ".join(differences), None]
    assert table["error_kind"].to_pylist() == [None, None]


def test_a_number_without_room_is_a_row() -> None:
    large = block()
    large["block"]["number"] = hex(2**64 - 1)
    fits = braid_evm.generate("transfers", txs=2)
    for make in (arrow.verify, arrow.execute, arrow.explain):
        table = make([fits, large, fits])
        assert table.schema == make([]).schema
        assert table["ok"].to_pylist() == [True, False, True]
        assert table["error_kind"].to_pylist() == [None, "UnreadableBlock", None]
        assert "at most 63 bits" in table["error"].to_pylist()[1]
        assert table["file"].to_pylist() == ["<bytes>[0]", "<dict>[1]", "<bytes>[2]"]
        assert make([large])["block"].to_pylist() == [None]


def test_tables_hold_what_the_objects_hold(blocks: Path, tmp_path: Path) -> None:
    files = [str(blocks / name) for name in ("a.json", "c.json.zst")]
    table = arrow.execute(files)
    assert table.schema == arrow.EXECUTE
    made = [braid_evm.execute(file) for file in files]
    assert table["tx_gas"].to_pylist() == [[it.gas for it in one.transactions] for one in made]
    assert table["logs"].to_pylist() == [sum(len(it.logs) for it in one.transactions) for one in made]
    table = arrow.explain(files, top=2)
    assert table.schema == arrow.EXPLAIN
    explained = [braid_evm.explain(file, top=2) for file in files]
    assert table["chain"].to_pylist() == [it.gas.chain for it in explained]
    words = [[conflict["words"] for conflict in row] for row in table["conflicts"].to_pylist()]
    assert words == [[conflict.words for conflict in one.conflicts] for one in explained]
    assert words[1]


def test_wrong_options_are_no_rows() -> None:
    with pytest.raises(ValueError, match="expected"):
        arrow.verify([b"{"], workers=0)
    assert arrow.verify([]).num_rows == 0 and isinstance(arrow.verify([]), pa.Table)
