"""The tutorial runs on the real blocks, and draws."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from test_docs import ROOT

image = pytest.importorskip("matplotlib.image", reason="matplotlib is not installed: cargo xtask python --spark")
pytest.importorskip("pyspark", reason="PySpark is not installed: cargo xtask python --spark")


def test_the_tutorial_draws_what_limits_real_blocks(real_blocks: Path, tmp_path: Path) -> None:
    out = Path(os.environ.get("BRAID_TUTORIAL", tmp_path))
    environment = {**os.environ, "BRAID_BLOCKS": str(real_blocks), "BRAID_TUTORIAL": str(out)}
    script = ROOT / "crates/python/tutorial/parallelism.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found = pq.read_table(out / "survey")
    assert f"{found.num_rows} blocks, 0 not ok" in done.stdout
    assert found.num_rows > 50 and all(found["ok"].to_pylist())
    for name in ("limits", "forks", "contracts"):
        pixels = image.imread(out / f"{name}.png")
        # Something is drawn, and most of it is paper.
        drawn = (pixels[..., :3].mean(axis=-1) < 0.95).mean()
        assert pixels.shape[0] > 400 and 0.005 < drawn < 0.5, (name, drawn)


def test_the_tutorial_is_a_notebook() -> None:
    text = (ROOT / "crates/python/tutorial/parallelism.py").read_text()
    cells = text.split("# %%")[1:]
    prose = [cell for cell in cells if cell.startswith(" [markdown]")]
    assert len(prose) >= 5 and len(cells) - len(prose) >= 5
    assert all(line.startswith("#") for cell in prose for line in cell.splitlines()[1:] if line)
