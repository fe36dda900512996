"""The figures of docs/SPARK.md: each command prints them, here with little to measure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_docs import ROOT

pytest.importorskip("pyspark", reason="PySpark is not installed: cargo xtask python --spark")


def figures(*arguments: str | Path) -> list[dict[str, Any]]:
    script = ROOT / "crates/python/measure/spark_figures.py"
    line = [sys.executable, str(script), *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(it) for it in done.stdout.splitlines()]


def test_what_a_job_costs_that_has_next_to_nothing_to_do() -> None:
    [found] = figures("start")
    assert found["figure"] == "start"
    assert all(found[name] > 0 for name in ("session_s", "first_job_s", "later_job_s"))


def test_cost_for_each_block() -> None:
    found = figures("grain", "--txs", "1", "50", "--work", "400", "--rounds", "1")
    assert [it["txs"] for it in found] == [1, 50]
    assert all(it["local_1_s"] > it["plain_s"] > 0 and it["job_s"] > 0 for it in found)


def test_cost_by_blocks_at_once() -> None:
    found = figures("batches", "--txs", "1", "5", "--batches", "1", "16", "--blocks", "40", "--rounds", "1")
    assert [(it["txs"], it["batch"]) for it in found] == [(1, 1), (1, 16), (5, 1), (5, 16)]
    assert all(it["plain_cpu_ms"] > 0 for it in found)


def test_many_blocks() -> None:
    [found] = figures("many", "--blocks", "300", "--small", "2")
    assert (found["blocks"], found["wrong"]) == (300, 0)
    assert found["blocks_per_s"] > 0 and found["written_bytes"] > 0


def test_a_plan_for_all_of_history(real_blocks: Path) -> None:
    *eras, whole = figures("history", real_blocks, "--rounds", "1")
    assert sum(it["blocks"] for it in eras) == whole["blocks"]
    assert sum(it["core_hours"] for it in eras) == pytest.approx(whole["core_hours"])
    assert all(it["sample"] >= 2 for it in eras) and sum(it["sample"] for it in eras) > 60
    # What depends on the blocks and not on the machine is as the page says it, and the rest of its table follows.
    shown = rows_of_history()
    for it in eras:
        made = (f"{it['blocks']:,}", str(it["sample"]), f"{it['mgas_per_block']:.1f}", f"{it['terabytes']:.2f}")
        row = shown.pop(it["era"])
        assert (*row[:3], row[5]) == made
    assert [*shown] == ["all"] and shown["all"][:2] == [f"{whole['blocks']:,}", str(sum(it["sample"] for it in eras))]


def rows_of_history() -> dict[str, list[str]]:
    """The table of all of Ethereum's history in docs/SPARK.md: the cells of a row by its first."""
    page = (ROOT / "docs/SPARK.md").read_text().split("## All of Ethereum's history")[1].split("## ")[0]
    cells = [[it.strip() for it in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    return {name: rest for name, *rest in cells[2:]}


def test_the_arithmetic_of_the_page() -> None:
    page = " ".join((ROOT / "docs/SPARK.md").read_text().split())
    *eras, whole = rows_of_history().values()
    for number, _, _, ms, core_hours, _ in eras:
        assert float(core_hours) == pytest.approx(int(number.replace(",", "")) * float(ms) / 3.6e6, abs=0.06)
    hours = sum(float(it[4]) for it in eras)
    terabytes = sum(float(it[5]) for it in eras)
    blocks = sum(int(it[0].replace(",", "")) for it in eras)
    assert whole[0] == f"{blocks:,}" and whole[4:] == [f"{hours:.0f}", f"{terabytes:.1f}"]
    engine = blocks * 0.9e-3 / 3600
    assert f"{blocks / 1e6:.1f} million x 0.9 ms = {engine:.1f} core hours" in page
    assert f"the time is {hours + engine:.0f} h / (N c)" in page
    took = (hours + engine) / (10 * 16)
    assert f"ten machines of 16 cores take {took:.1f} h" in page
    assert f"/ 1.3 h = {5.6e6 / 10 / 1.3 / 3600:.0f} MB each second" in page
