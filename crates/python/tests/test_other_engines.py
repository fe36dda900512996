"""Other engines by the same function."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import Tool, compare
from test_docs import ROOT

pytest.importorskip("dask.distributed", reason="Dask is not installed: cargo xtask python --spark")


def test_dask(tool: Tool, blocks: Path, tmp_path: Path) -> None:
    script = ROOT / "crates/python/examples/dask_verify.py"
    command = [sys.executable, str(script), str(blocks), str(tmp_path / "out.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout == f"{tmp_path}/out.parquet: 8 rows, 4 of them not ok\n"
    compare(tool, blocks, pq.read_table(tmp_path / "out.parquet").sort_by("file"))
    assert 20 <= len(script.read_text().splitlines()) <= 45
