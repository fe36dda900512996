"""Examples in the documentation run."""

from __future__ import annotations

import doctest
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import braid_evm
import braid_evm.arrow

ROOT = Path(os.environ.get("BRAID_ROOT", Path(__file__).parents[3]))


@pytest.mark.parametrize(("module", "least"), [(braid_evm, 12), (braid_evm.arrow, 3)])
def test_examples_in_modules(module: ModuleType, least: int) -> None:
    result = doctest.testmod(module)
    assert result.failed == 0 and result.attempted >= least


def python_of(page: str) -> str:
    """The Python examples of a page, one after the other."""
    return "\n".join(part.split("```")[0] for part in page.split("```python\n")[1:])


def test_examples_in_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = python_of((ROOT / "docs/PYTHON.md").read_text())
    examples = doctest.DocTestParser().get_doctest(code, {}, "PYTHON.md", None, None)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(examples)
    assert runner.tries >= 20 and runner.failures == 0


def test_commands_in_the_page(tmp_path: Path) -> None:
    page = (ROOT / "docs/PYTHON.md").read_text()
    blocks = [part.split("```")[0] for part in page.split("```sh\n")[1:]]
    commands = [shlex.split(line) for line in "".join(blocks).splitlines() if line.startswith("python -m braid_evm ")]
    assert len(commands) == 3
    for command in commands:
        # `python` is the one of the environment.
        run = subprocess.run([sys.executable, *command[1:]], cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode == 0 and run.stdout, run.stderr


def test_the_example_in_the_projects_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(python_of((ROOT / "README.md").read_text()), names)
    assert names["block"]


def test_examples_in_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(python_of((ROOT / "crates/python/README.md").read_text()), names)
    assert names["block"]
