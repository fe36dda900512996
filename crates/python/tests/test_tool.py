"""Every row equals that of the tool: of generated blocks, right and wrong, and of real ones. The module is the tool."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, get_args

import pytest
from conftest import Line, Tool

import braid_evm
from braid_evm import results
from braid_evm.__main__ import main
from braid_evm.sources import expand

# What may differ from run to run: times, and how a block was shared out.
VARYING = {
    "seq_ms", "seq_cpu_ms", "par_ms", "par_cpu_ms", "speedup", "cpu_ratio",
    "incarnations", "aborts", "speculative_share", "sequential", "segments", "rounds", "profile",
    "measured", "time_ns",
}  # fmt: skip


def settled(line: Line) -> Line:
    return {name: value for name, value in line.items() if name not in VARYING}


def python(*arguments: str | Path, stdin: bytes = b"") -> tuple[int, bytes]:
    command = [sys.executable, "-m", "braid_evm", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    assert done.returncode in (0, 1, 2), done.stderr.decode()
    return done.returncode, done.stdout


def lines(output: bytes) -> list[Line]:
    return [json.loads(line) for line in output.splitlines()]


def row(source: str) -> Line:
    """The tool's line about a block, out of what the function returns or raises."""
    try:
        done = braid_evm.verify(source, rounds=1)
    except braid_evm.InvalidBlock as error:
        return {
            "file": source, "block": error.block, "txs": error.txs, "ok": False,
            "error": error.reason, "transaction": error.transaction,
        }  # fmt: skip
    except braid_evm.UnreadableBlock as error:
        line = {"file": source, "ok": False, "error": error.reason, "transaction": error.transaction}
        return line | ({"field": error.field} if error.field else {})
    line = {name: getattr(done, name) for name in ("file", "block", "txs", "ok", "gas", "skipped")}
    line["checks"] = dict(done.checks)
    if done.not_checkable:
        line["not_checkable"] = dict(done.not_checkable)
    if done.differences:
        line["differences"] = list(done.differences)
    return line


def compare(tool: Tool, folder: Path, least: int) -> list[Line]:
    code, expected = tool("run", "--json", "--rounds", "1", folder)
    *expected, total = expected
    files = list(expand([folder]))
    assert len(files) == len(expected) >= least
    setting = ("workers", "mode", "policy", "access_lists", "access_list_hint")
    for file, line in zip(files, expected, strict=True):
        wanted = {name: value for name, value in settled(line).items() if name not in setting}
        assert row(file) == wanted
    assert total["files"] == len(files)
    return expected


def test_generated_blocks_row_by_row(tool: Tool, blocks: Path) -> None:
    expected = compare(tool, blocks, least=8)
    # Of each kind there is one, so that the comparison means something.
    assert {line["ok"] for line in expected} == {True, False}
    assert any(line.get("transaction") == 5 for line in expected)
    assert any("differences" in line for line in expected)
    assert any(line.get("field") == "meta.fork" for line in expected)


def test_real_blocks_row_by_row(tool: Tool, real_blocks: Path) -> None:
    expected = compare(tool, real_blocks, least=1)
    assert all(line["ok"] for line in expected)


def both(tool_path: str, *arguments: str | Path, stdin: bytes = b"") -> tuple[int, bytes]:
    """What the module prints, where the tool prints the same."""
    done = subprocess.run([tool_path, *map(str, arguments)], input=stdin, capture_output=True, check=False)
    found = python(*arguments, stdin=stdin)
    assert found == (done.returncode, done.stdout), done.stderr.decode()
    return found


def test_the_command_run_prints_what_the_tool_prints(tool: Tool, blocks: Path) -> None:
    wanted_code, wanted = tool("run", "--json", "--rounds", "1", "--pause", "0", blocks)
    code, output = python("run", "--json", "--rounds", "1", "--pause", "0", blocks)
    assert list(map(settled, wanted)) == list(map(settled, lines(output)))
    assert code == wanted_code == 1
    assert list(map(set, lines(output))) == list(map(set, wanted))
    code, output = python("run", "--rounds", "1", "--pause", "0", blocks)
    assert code == 1 and b"speed-up" in output and not output.startswith(b"{")


def test_the_demo_chain(tool: Tool) -> None:
    code, output = python("run", "--json", "--rounds", "1", "--pause", "0")
    found = lines(output)
    assert code == 0 and len(found) == 7
    _, wanted = tool("run", "--json", "--rounds", "1", "--pause", "0")
    assert [line.get("gas") for line in found] == [line.get("gas") for line in wanted]


def test_all_commands_are_there(tool_path: str) -> None:
    _, output = both(tool_path, "completions", "bash")
    assert output.startswith(b"_braid()")
    _, manual = both(tool_path, "man")
    commands = [line.split("\\-", 1)[1] for line in manual.decode().splitlines() if line.startswith("braid\\-")]
    names = [name.split("(")[0].replace("\\-", "-") for name in commands]
    assert {"run", "explain", "survey", "trace", "lint", "fetch"} < set(names)
    for name in set(names) - {"help"}:
        code, output = python(name, "--help")
        assert code == 0 and f"Usage: python -m braid_evm {name}".encode() in output, name


def test_commands_print_what_the_tool_prints(tool_path: str, blocks: Path, tmp_path: Path) -> None:
    code, output = both(tool_path, "explain", "--rounds", "0", "--top", "3", "--workers", "8", "--json", blocks)
    assert code == 1 and any(line.get("conflicts") for line in lines(output)) and "total" in lines(output)[-1]
    assert both(tool_path, "explain", "--rounds", "0", blocks / "c.json.zst")[0] == 0
    code, output = both(tool_path, "survey", "--rounds", "0", "--json", blocks)
    assert b"c.json.zst" in output
    code, output = both(tool_path, "trace", "--tx", "3", "--tracer", "struct", "--json", blocks / "b.json.gz")
    assert code == 0 and b"structLogs" in output
    assert both(tool_path, "run", "nowhere.json")[0] == 2
    assert both(tool_path, "--version")[1].startswith(b"braid ")


def test_an_interrupt_ends_it() -> None:
    command = [sys.executable, "-m", "braid_evm", "run", "--rounds", "1", "--pause", "600s"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT


def test_an_interrupt_is_python_s_again_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert main(["--version"]) == 0 and signal.getsignal(signal.SIGINT) is before
    assert capfd.readouterr().out.startswith("braid ")
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(main(["run", "--json", "nowhere.json"])))
    thread.start()
    thread.join()
    assert found == [2] and "nowhere.json" in capfd.readouterr().out


def test_an_explanation_has_all_that_the_line_has(tool: Tool, blocks: Path) -> None:
    file = str(blocks / "b.json.gz")
    _, [whole] = tool("explain", "--json", "--rounds", "0", file)
    place = whole["conflicts"][0]["locations"][0]
    _, [line] = tool("explain", "--json", "--rounds", "0", "--without", place, file)
    found = braid_evm.explain(file, without=[place])
    assert found == results.explanation(line)
    assert found.what_if is not None and found.what_if.gas.chain < found.gas.chain
    assert found.conflicts[0].functions[0].selector == line["conflicts"][0]["functions"][0]["selector"]


def test_an_explanation_with_times(tool: Tool, blocks: Path) -> None:
    found = braid_evm.explain(str(blocks / "c.json.zst"), rounds=1, by="time")
    assert found.by == "time_ns" and found.time_ns is not None and found.time_ns.work > 0
    assert found.measured is not None and found.measured.speedup > 0


@pytest.mark.parametrize("workload", get_args(braid_evm.Workload))
def test_generated_files_are_the_same_bytes(workload: braid_evm.Workload, tool_path: str, tmp_path: Path) -> None:
    common = ("gen", "--workload", workload, "--txs", "12", "--hot", "20", "--seed", "7")
    for name in ("x.json", "x.json.gz", "x.json.zst"):
        wanted = tmp_path / f"tool-{name}"
        subprocess.run([tool_path, *common, "--out", str(wanted)], check=True)
        braid_evm.generate_file(tmp_path / name, workload, txs=12, hot=20, seed=7)
        assert (tmp_path / name).read_bytes() == wanted.read_bytes()
    _, output = both(tool_path, *common, "--out", "-")
    assert output == (tmp_path / "x.json").read_bytes()
    assert braid_evm.generate(workload, txs=12, hot=20, seed=7) == output
    code, printed = python("run", "--json", "--rounds", "1", "-", stdin=output)
    assert code == 0 and lines(printed)[0]["file"] == "-"


def test_all_workloads_of_the_tool_are_there(tool_path: str) -> None:
    refused = subprocess.run([tool_path, "gen", "--workload", "x", "--out", "-"], capture_output=True, check=False)
    found = re.search(r"possible values: (.*)\]", refused.stderr.decode())
    assert found and tuple(found[1].split(", ")) == get_args(braid_evm.Workload)


def test_access_lists_are_those_that_the_tool_writes(tool: Tool, blocks: Path, tmp_path: Path) -> None:
    file = blocks / "c.json.zst"
    tool("run", "--json", "--rounds", "1", "--emit-bal", tmp_path, file)
    made = braid_evm.access_list(file)
    assert made.rlp == (tmp_path / "c.bal.rlp").read_bytes()
    assert len(made.hash) == 66 and len(made.accounts) > 40
    addresses = [account.address for account in made.accounts]
    assert addresses == sorted(addresses)


@pytest.mark.parametrize(
    "arguments",
    [("run", "--workers", "0"), ("gen", "--workload", "x", "--out", "-"), ("run", "--pause", "5m")],
)
def test_wrong_options_end_with_two(arguments: tuple[str, ...]) -> None:
    assert python(*arguments)[0] == 2


def test_a_missing_folder_and_a_wrong_ending(tmp_path: Path) -> None:
    code, output = python("run", "--json", tmp_path / "none")
    assert code == 2 and not lines(output)[0]["ok"]
    out: Any = tmp_path / "x.txt"
    assert python("gen", "--workload", "transfers", "--txs", "1", "--out", out)[0] == 2
