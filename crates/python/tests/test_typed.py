"""Types: the package, its native module and what users write."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import braid_evm

CONFIG = Path(__file__).parent.parent / "pyproject.toml"


def mypy(*arguments: str, module: str = "mypy") -> str:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_package_and_its_tests_are_typed(tmp_path: Path) -> None:
    tests = [str(path) for path in sorted(Path(__file__).parent.glob("*.py"))]
    cache = ["--cache-dir", str(tmp_path), "--config-file", str(CONFIG)]
    assert mypy(*cache, "-p", "braid_evm") == ""
    assert mypy(*cache, *tests) == ""


def test_the_stub_says_what_the_native_module_has() -> None:
    assert mypy("braid_evm._native", "--ignore-missing-stub", module="mypy.stubtest") == ""


def test_the_package_says_that_it_is_typed() -> None:
    folder = Path(braid_evm.__file__).parent
    assert (folder / "py.typed").exists() and (folder / "_native.pyi").exists()


def imported(file: Path) -> set[str]:
    """Packages that `file` imports and that are neither Python's nor this one."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {"braid_evm"}


def test_extras_name_what_the_package_imports() -> None:
    """A package that comes only because another one needs it is gone with the next release of that one."""
    extras: dict[str, set[str]] = {"": set(), "arrow": set(), "spark": set()}
    for requirement in metadata.requires("braid-evm") or []:
        name, _, marker = requirement.partition(";")
        extra = marker.split("==")[-1].strip(" '\"") if "extra" in marker else ""
        extras[extra].add(re.split(r"[^\w-]", name.strip())[0])
    assert extras["arrow"] and extras["spark"], extras
    folder = Path(braid_evm.__file__).parent
    for file in folder.rglob("*.py"):
        extra = "spark" if file.parent.name == "spark" else "arrow" if file.name == "arrow.py" else ""
        assert imported(file) <= extras[extra], f"{file.name} needs what [{extra}] does not name"


def test_what_users_write_is_checked(tmp_path: Path) -> None:
    right = """
import braid_evm
block: bytes = braid_evm.generate("dex", txs=3)
gas: int = braid_evm.execute(block).gas
topics: tuple[str, ...] = braid_evm.execute(block).transactions[0].logs[0].topics
speedup: float | None = braid_evm.verify("x.json", rounds=1).speedup
chain: int = braid_evm.explain({}).gas.chain
"""
    wrong = """
import braid_evm
block = braid_evm.generate("swaps")
gas: str = braid_evm.execute(3).gas
braid_evm.execute(block).gas = 3
"""
    (tmp_path / "right.py").write_text(right)
    (tmp_path / "wrong.py").write_text(wrong)
    cache = ("--strict", "--cache-dir", str(tmp_path / "cache"))
    assert mypy(*cache, str(tmp_path / "right.py")) == ""
    said = mypy(*cache, str(tmp_path / "wrong.py"))
    # The argument in line 3, argument and type in line 4, the frozen field in line 5.
    assert [said.count(f"wrong.py:{line}:") for line in (3, 4, 5)] == [1, 2, 1], said
