"""What the tests share: the tool, generated blocks, and real ones where they are."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import braid_evm

Line = dict[str, Any]
Tool = Callable[..., tuple[int, list[Line]]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs the tool: `cargo xtask python` runs it last."""
    for item in items:
        if "tool_path" in getattr(item, "fixturenames", ()):
            item.add_marker("tool")


@pytest.fixture(scope="session")
def tool_path() -> str:
    path = os.environ.get("BRAID_TOOL")
    if path is None:
        pytest.skip("BRAID_TOOL does not name the tool: run cargo xtask python")
    return path


@pytest.fixture(scope="session")
def tool(tool_path: str) -> Tool:
    """Runs the tool; returns its exit code and the objects that it prints."""

    def run(*arguments: str | Path) -> tuple[int, list[Line]]:
        done = subprocess.run(
            [tool_path, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert done.returncode in (0, 1, 2), done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    return run


@pytest.fixture(scope="session")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of generated blocks, right and wrong, packed in each way."""
    folder = tmp_path_factory.mktemp("blocks")
    for name, workload, txs, hot in (
        ("a.json", "transfers", 60, 0),
        ("b.json.gz", "erc20", 50, 20),
        ("c.json.zst", "dex", 40, 100),
        ("d.json.zst", "range", 30, 0),
    ):
        braid_evm.generate_file(folder / name, workload, txs=txs, hot=hot)  # type: ignore[arg-type]
    (folder / "e-invalid.json").write_text(json.dumps(without_funds(5)))
    (folder / "f-other-gas.json").write_text(json.dumps(other_gas()))
    (folder / "g-no-json.json").write_text("{")
    (folder / "h-no-fork.json").write_text(json.dumps(unknown_fork()))
    (folder / "a.witness.txt").write_text("no block file")
    return folder


@pytest.fixture(scope="session")
def real_blocks() -> Path:
    default = Path(os.environ.get("BRAID_ROOT", "."), "../shared")
    folder = Path(os.environ.get("BRAID_FIXTURES", default)) / "blocks"
    if not folder.is_dir():
        assert os.environ.get("BRAID_REQUIRE_FIXTURES") != "1", f"there is no {folder}"
        pytest.skip(f"no real blocks in {folder}")
    return folder


def block(workload: str = "transfers", txs: int = 8) -> Any:
    """A generated block as a mapping."""
    return json.loads(braid_evm.generate(workload, txs=txs, signatures=False))  # type: ignore[arg-type]


def without_funds(index: int) -> Any:
    """A block whose transaction `index` cannot be paid."""
    file = block()
    sender = file["block"]["transactions"][index]["from"]
    account = next(key for key in file["pre_state"] if key.lower() == sender.lower())
    file["pre_state"][account]["balance"] = "0x0"
    return file


def other_gas() -> Any:
    """A block whose header tells another gas."""
    file = block()
    file["block"]["gasUsed"] = "0x1"
    return file


def unknown_fork() -> Any:
    """A block under no known rules."""
    file = block()
    file["meta"]["fork"] = "Atlantis"
    return file


CONTRACT = "0x00000000000000000000000000000000000c0de5"


def calling(code_hash: str, index: int = 3) -> Any:
    """A block whose transaction `index` calls `CONTRACT`, which has the code with this hash."""
    file = block()
    transaction = file["block"]["transactions"][index]
    transaction["to"], transaction["gas"] = CONTRACT, hex(100_000)
    sender = next(k for k in file["pre_state"] if k.lower() == transaction["from"].lower())
    file["pre_state"][sender]["balance"] = hex(10**24)
    file["pre_state"][CONTRACT] = {"balance": "0x0", "nonce": "0x1", "code_hash": code_hash}
    return file


#: Columns that are the same in each run: the second ones only with one worker, who takes the transactions in order.
SAME = ("file", "block", "txs", "ok", "gas", "error", "transaction", "skipped")
IN_ORDER = ("workers", "incarnations", "aborts", "speculative_share", "sequential", "segments")


def of_line(line: Line, name: str) -> Any:
    """What a row has in column `name` for a line of the tool: `error` of a block that differs are its differences."""
    if name == "error" and "differences" in line:
        return "; ".join(line["differences"])
    return line.get(name)


def compare(tool: Tool, folder: Path, found: Any) -> None:
    """Compares a table, ordered by file, with what the tool prints about the folder: all of a line but times.

    The hash of a block, which a line lacks, is compared with its file.
    """
    in_order = set(found["workers"].to_pylist()) <= {1, None}
    _, [*lines, _] = tool("run", "--json", "--rounds", "1", *(("--workers", "1") if in_order else ()), folder)
    lines.sort(key=lambda line: str(line["file"]))
    for name in SAME:
        assert found[name].to_pylist() == [of_line(line, name) for line in lines], name
    for name in IN_ORDER if in_order else ():
        told = [line.get(name) if "gas" in line else None for line in lines]
        assert found[name].to_pylist() == told, name
    for name in ("checks", "not_checkable"):
        maps = [None if it is None else dict(it) or None for it in found[name].to_pylist()]
        assert maps == [line.get(name) or None for line in lines], name
    differences = [it or None for it in found["differences"].to_pylist()]
    assert differences == [line.get("differences") for line in lines]
    for file, ok, hash in zip(*(found[name].to_pylist() for name in ("file", "ok", "hash")), strict=True):
        assert not ok or hash == json.loads(unpacked(Path(file)))["block"]["hash"], file


def unpacked(file: Path) -> bytes:
    """The JSON of a block file."""
    packed = file.read_bytes()
    if file.suffix == ".gz":
        return gzip.decompress(packed)
    return pa.input_stream(pa.py_buffer(packed), compression="zstd").read() if file.suffix == ".zst" else packed
