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
    script = ROOT / "python/measure/spark_figures.py"
    line = [sys.executable, str(script), *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(it) for it in done.stdout.splitlines()]


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
