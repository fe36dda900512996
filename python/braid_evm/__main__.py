"""`python -m braid_evm`: the commands `run`, `gen` and `explain` of the tool, with its JSON lines as output."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from . import _native, lines
from .errors import BraidError, InvalidBlock, UnreadableBlock
from .sources import expand

RIGHT, MISMATCH, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

_CODES = """
Exit code: 0 if everything agrees; 1 if a block differs from sequential execution or from its header;
2 if a file cannot be used or a block is invalid."""

_RUN = f"""\
examples:
  python -m braid_evm run                        a generated demo chain
  python -m braid_evm run block.json.zst         one block
  python -m braid_evm run blocks/                every block file in a folder
  python -m braid_evm gen --workload dex --txs 500 --out - | python -m braid_evm run -
{_CODES}"""

_EXPLAIN = f"""\
examples:
  python -m braid_evm explain block.json.zst     one block
  python -m braid_evm explain --rounds 0 blocks/ every block file in a folder, in gas only
  python -m braid_evm explain --without 0xA0b8...eB48 block.json
{_CODES}
The total over several blocks that `braid explain` ends with is not printed."""

_GEN = """\
examples:
  python -m braid_evm gen --workload transfers --txs 1000 --out block.json.zst
  python -m braid_evm gen --workload erc20 --txs 5000 --hot 20 --seed 7 --out hot.json.gz"""

_PATHS = "block files (.json, .json.gz, .json.zst), folders of them, or - for standard input; nothing for a demo chain"
_MILLISECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}

_Line = dict[str, Any]
_Input = tuple[bytes | str, str]


def _pause(text: str) -> float:
    if text == "0":
        return 0.0
    unit = next((unit for unit in _MILLISECONDS if text.endswith(unit)), None)
    try:
        seconds = float(text.removesuffix(unit or "")) * _MILLISECONDS[unit or ""]
    except (KeyError, ValueError):
        seconds = -1.0
    if seconds < 0:
        raise argparse.ArgumentTypeError(f"expected a time such as 5ms, found {text!r}")
    return seconds


def _between(low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected a number from {low} to {high}")
        return int(text)

    return number


def _parser() -> argparse.ArgumentParser:
    whole = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m braid_evm", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    u64 = _between(0, 2**64 - 1)
    most = 2**32 - 1

    run = commands.add_parser(
        "run",
        help="execute blocks in parallel and sequentially, and compare everything",
        epilog=_RUN,
        formatter_class=whole,
    )
    run.add_argument("paths", nargs="*", metavar="FILE|DIR|-", help=_PATHS)
    run.add_argument("--workers", type=_between(1, 65535), metavar="N", help="one for each core")
    run.add_argument("--mode", choices=("validate", "build"), default="validate")
    policies = ("auto", "force-speculative", "parts", "lanes", "in-order")
    run.add_argument("--policy", choices=policies, default="auto")
    run.add_argument("--check-signatures", action="store_true")
    run.add_argument("--rounds", type=_between(1, most), default=3, metavar="N")
    run.add_argument("--pause", type=_pause, default=0.005, metavar="TIME", help="5ms")

    explain = commands.add_parser(
        "explain",
        help="tell why a block does not run in parallel",
        epilog=_EXPLAIN,
        formatter_class=whole,
    )
    explain.add_argument("paths", nargs="*", metavar="FILE|DIR|-", help=_PATHS)
    explain.add_argument("--without", action="append", default=[], metavar="LOCATION|ADDRESS")
    explain.add_argument("--sharded", action="append", default=[], metavar="LOCATION")
    explain.add_argument("--workers", type=_between(1, 64), default=16, metavar="N")
    explain.add_argument("--by", choices=("gas", "time"), default="gas")
    explain.add_argument("--top", type=_between(0, most), default=5, metavar="N")
    explain.add_argument("--rounds", type=_between(0, most), default=3, metavar="N")
    explain.add_argument("--pause", type=_pause, default=0.005, metavar="TIME", help="5ms")
    for command in (run, explain):
        command.add_argument("--json", action="store_true", help="the only output there is")

    gen = commands.add_parser(
        "gen", help="generate a block", epilog=_GEN, formatter_class=whole
    )
    workloads = ("transfers", "erc20", "dex", "range")
    gen.add_argument("--workload", choices=workloads, required=True)
    gen.add_argument("--txs", type=_between(0, most), default=1000, metavar="N")
    gen.add_argument("--hot", type=_between(0, 100), default=0, metavar="PERCENT")
    gen.add_argument("--seed", type=u64, default=1, metavar="S")
    gen.add_argument("--no-signatures", action="store_true")
    gen.add_argument("--out", required=True, metavar="FILE")
    return parser


def _inputs(paths: list[str]) -> Iterator[_Input]:
    if not paths:
        for number, block in enumerate(_native.demo(), 1):
            yield block, f"demo-{number}"
    for path in paths:
        if path == "-":
            yield sys.stdin.buffer.read(), path
        else:
            yield from ((file, file) for file in expand([path]))


def _print(line: _Line) -> None:
    print(json.dumps(line, separators=(",", ":")), flush=True)


def _error(error: BraidError, name: str) -> _Line:
    line: _Line = {"file": name}
    if isinstance(error, InvalidBlock):
        line |= {"block": error.block, "txs": error.txs}
    line |= {"ok": False, "error": error.reason, "transaction": error.transaction}
    if isinstance(error, UnreadableBlock) and error.field is not None:
        line["field"] = error.field
    return line


_SUMS = ("gas", "skipped", "seq_ms", "seq_cpu_ms", "par_ms", "par_cpu_ms", "incarnations", "discarded")


class _Totals:
    """Sums over blocks, as the last line of `braid run --json` has them."""

    def __init__(self) -> None:
        counted = ("right", "mismatches", "rejected", "unusable", "txs", "state_roots")
        self.counts = dict.fromkeys((*counted, "state_roots_not_checkable"), 0)
        self.sums: dict[str, float] = dict.fromkeys(_SUMS, 0)
        self.speculative = 0.0

    def add(self, line: _Line) -> None:
        counts = self.counts
        counts["right" if line["ok"] else "mismatches"] += 1
        counts["state_roots"] += "stateRoot" in line["checks"]
        counts["state_roots_not_checkable"] += "not_checkable" in line
        if "gas" not in line:
            return
        counts["txs"] += line["txs"]
        for name in _SUMS:
            self.sums[name] += line[name] or 0
        self.speculative += line["speculative_share"] * line["txs"]

    def line(self, setting: _Line) -> _Line:
        counts, sums = self.counts, self.sums
        files = sum(counts[it] for it in ("right", "mismatches", "rejected", "unusable"))

        def ratio(over: str, under: str) -> float | None:
            return sums[over] / sums[under] if sums[under] > 0 else None

        share = self.speculative / counts["txs"] if counts["txs"] else 0.0
        head = {"total": True, "ok": counts["right"] == files, "files": files}
        tail = {
            "speedup": ratio("seq_ms", "par_ms"),
            "cpu_ratio": ratio("par_cpu_ms", "seq_cpu_ms"),
            "speculative_share": share,
            "alone": False,
        }
        return {**head, **counts, **sums, **tail, **setting}

    def code(self) -> int:
        if self.counts["mismatches"]:
            return MISMATCH
        return BAD_INPUT if self.counts["rejected"] or self.counts["unusable"] else RIGHT


def _run(args: argparse.Namespace) -> int:
    engine = lines.engine(args.workers, args.mode, args.policy)
    setting: _Line = {
        "workers": engine.workers,
        "mode": args.mode,
        "policy": args.policy,
        "rounds": args.rounds,
        "access_lists": "none",
    }
    totals = _Totals()
    for source, name in _inputs(args.paths):
        try:
            text = engine.verify(source, name, (args.rounds, args.pause, args.check_signatures, False), None)
            line = json.loads(text)
            totals.add(line)
        except BraidError as error:
            kind = "rejected" if isinstance(error, InvalidBlock) else "unusable"
            totals.counts[kind] += 1
            line = {**_error(error, name), **setting}
        _print(line)
    _print(totals.line(setting))
    return totals.code()


def _is_of_block(error: BraidError) -> bool:
    return not isinstance(error, UnreadableBlock)


def _explain(args: argparse.Namespace) -> int:
    engine, code = lines.engine(None), RIGHT
    asked = (
        args.workers,
        args.top,
        args.rounds,
        args.by,
        args.without,
        args.sharded,
        args.pause,
    )
    codes: list[int] = []
    for source, name in _inputs(args.paths):
        try:
            line = json.loads(engine.explain(source, name, asked))
            code = RIGHT if line["ok"] else MISMATCH
        except BraidError as error:
            advice = f"; check the block with: braid run {name}" if _is_of_block(error) else ""
            line = {"file": name, "ok": False, "error": f"{name}: {error.reason}{advice}"}
            code = BAD_INPUT
        codes.append(code)
        _print(line)
    return MISMATCH if MISMATCH in codes else max(codes, default=RIGHT)


def _gen(args: argparse.Namespace) -> int:
    spec = (args.workload, args.txs, args.hot, args.seed, not args.no_signatures)
    if args.out == "-":
        sys.stdout.buffer.write(_native.generate(*spec))
        sys.stdout.buffer.flush()
        return RIGHT
    gas = _native.generate_file(args.out, *spec)
    _print({"file": args.out, "txs": args.txs, "gas": gas})
    return RIGHT


def main(arguments: Iterable[str] | None = None) -> int:
    """Runs the command of `arguments`, or of the process, and returns the exit code."""
    args = _parser().parse_args(None if arguments is None else list(arguments))
    command = {"run": _run, "explain": _explain, "gen": _gen}[args.command]
    try:
        return command(args)
    except (BraidError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        # The reader had enough, as `head` has. Nothing is left to be flushed at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return RIGHT
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
