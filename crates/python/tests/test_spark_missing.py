"""Without PySpark the command says how to get it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_command_names_the_package() -> None:
    if importlib.util.find_spec("pyspark"):
        pytest.skip("PySpark is installed")
    command = [str(Path(sys.executable).parent / "braid-spark"), "verify", "a", "b"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "pip install 'braid-evm[spark]'" in done.stderr
