"""Examples in the documentation run."""

from __future__ import annotations

import doctest
import os
from pathlib import Path
from types import ModuleType

import pytest

import braid_evm
import braid_evm.arrow

ROOT = Path(os.environ.get("BRAID_ROOT", Path(__file__).parent.parent.parent))


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


def test_the_example_in_the_projects_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(python_of((ROOT / "README.md").read_text()), names)
    assert names["block"]


def test_examples_in_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(python_of((ROOT / "python/README.md").read_text()), names)
    assert names["block"]
