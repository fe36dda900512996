"""Figures of Spark jobs for docs/SPARK.md: what the engine costs for each block, and what histories take.

    python spark_figures.py start                        a session, and a job that has next to nothing to do
    python spark_figures.py grain                        cost of the engine for blocks of several sizes
    python spark_figures.py batches                      the same for several numbers of blocks at once
    python spark_figures.py many --blocks 100000         many small blocks, from generating to the last row
    python spark_figures.py history ../shared/blocks     cost of a real block of each fork, and of all of them

Each prints one line of JSON for each figure. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

import braid_evm
from braid_evm import arrow
from braid_evm.sources import expand
from braid_evm.spark.job import Job, run

#: First blocks of the forks of Ethereum's main network that `history` tells apart.
ERAS = {
    "Frontier to Tangerine Whistle": 0,
    "Spurious Dragon": 2_675_000,
    "Byzantium": 4_370_000,
    "Petersburg": 7_280_000,
    "Istanbul": 9_069_000,
    "Berlin": 12_244_000,
    "London": 12_965_000,
    "Paris": 15_537_394,
    "Shanghai": 17_034_870,
    "Cancun": 19_426_587,
    "Prague": 22_431_084,
    "Osaka": 23_935_694,
}


def say(**figures: Any) -> None:
    print(json.dumps(figures), flush=True)


def timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def session(cores: int) -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(f"local[{cores}]").appName("figures")
    return builder.config("spark.ui.enabled", "false").config("spark.log.level", "ERROR").getOrCreate()


def table_of_blocks(path: Path, count: int, txs: int) -> None:
    """Writes a Parquet table of generated blocks in ten files."""
    path.mkdir()
    parts = min(10, count)
    for part in range(parts):
        seeds = range(part, count, parts)
        blocks = [braid_evm.generate("erc20", txs=txs, seed=seed, signatures=False) for seed in seeds]
        columns = {"name": [f"block-{seed}" for seed in seeds], "block": pa.array(blocks, pa.binary())}
        pq.write_table(pa.table(columns), path / f"{part}.parquet", compression="zstd")


def plain(source: Path) -> None:
    """The blocks of a table in one process, in order, without Spark."""
    lines = arrow.Lines(verify={"rounds": 0, "workers": 1})
    for file in sorted(source.glob("*.parquet")):
        table = pq.read_table(file)
        for name, block in zip(table["name"].to_pylist(), table["block"].to_pylist(), strict=True):
            lines.add(block, name)
    rows = lines.table(arrow.VERIFY)
    assert all(rows["ok"].to_pylist())


def grain(args: argparse.Namespace) -> None:
    """Blocks of several sizes, in one process and on Spark with one core and with two."""
    with tempfile.TemporaryDirectory() as folder:
        # Two blocks of one transaction come first: what is left of a job that has next to nothing to do.
        sizes = [(1, 2), *((txs, max(8, args.work // (txs + 20))) for txs in args.txs)]
        for txs, count in sizes:
            table_of_blocks(Path(folder, f"{txs}-{count}"), count, txs)
        took: dict[tuple[int, int, int], float] = {}
        for cores in (0, 1, 2):
            spark = session(cores) if cores else None
            for txs, count in [sizes[-1], *sizes]:  # The first one warms up what starts once.
                source = Path(folder, f"{txs}-{count}")
                times = []
                for round in range(args.rounds):
                    output = Path(folder, f"out-{time.time_ns()}")
                    if spark is None:
                        times.append(timed(lambda: plain(source)))
                        continue
                    job = Job("verify", str(source), str(output), rounds=0, partitions=4)
                    times.append(timed(lambda: run(job, spark)))
                took[cores, txs, count] = statistics.median(times)
            if spark is not None:
                spark.stop()
        fixed = [took[cores, *sizes[0]] for cores in (0, 1, 2)]
        for txs, count in sizes[1:]:
            plain_s, local_1_s, local_2_s = (took[cores, txs, count] for cores in (0, 1, 2))
            say(
                figure="grain", txs=txs, blocks=count, plain_ms=1e3 * plain_s / count,
                engine_ms=1e3 * (local_1_s - fixed[1] - plain_s) / count, job_s=fixed[1],
                plain_s=plain_s, local_1_s=local_1_s, local_2_s=local_2_s,
            )  # fmt: skip


def processor_time() -> float:
    """Seconds of processor time of this process and of all below it: Spark's Java and its Python workers."""
    below: dict[int, list[int]] = defaultdict(list)
    ticks: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        below[int(fields[1])].append(pid)
        # With that of processes below it which have ended.
        ticks[pid] = sum(map(int, fields[11:15]))
    found, total = [os.getpid()], 0
    while found:
        pid = found.pop()
        total += ticks.get(pid, 0)
        found += below[pid]
    return total / os.sysconf("SC_CLK_TCK")


def batches(args: argparse.Namespace) -> None:
    """Processor time for blocks of several sizes, with several numbers of blocks that a worker gets at once."""

    def cost(work: Callable[[], Any]) -> float:
        before = processor_time()
        work()
        return processor_time() - before

    with tempfile.TemporaryDirectory() as folder:
        for txs in args.txs:
            table_of_blocks(Path(folder, str(txs)), args.blocks, txs)
        table_of_blocks(Path(folder, "small"), 2, 1)
        alone = {}
        for txs in args.txs:
            source = Path(folder, str(txs))
            alone[txs] = min(cost(lambda: plain(source)) for _ in range(2))
        spark = session(2)

        def job(source: str, batch: int) -> float:
            made = Job(
                "verify", f"{folder}/{source}", f"{folder}/out-{time.time_ns()}", rounds=0, partitions=4, batch=batch
            )
            return cost(lambda: run(made, spark))

        # Java compiles what runs often: the first jobs are not counted.
        for batch in args.batches:
            job(str(args.txs[0]), batch)
        for txs in args.txs:
            # One job of each in turn, and one that has next to nothing to do: what else the machine does is shared.
            rounds = []
            for _ in range(args.rounds):
                fixed = job("small", 1)
                rounds.append([job(str(txs), batch) - fixed for batch in args.batches])
            for batch, costs in zip(args.batches, zip(*rounds, strict=True), strict=True):
                took = statistics.median(costs)
                say(
                    figure="batches", txs=txs, blocks=args.blocks, batch=batch, cpu_s=took,
                    plain_cpu_ms=1e3 * alone[txs] / args.blocks,
                    engine_cpu_ms=1e3 * (took - alone[txs]) / args.blocks,
                )  # fmt: skip
        spark.stop()


def start(args: argparse.Namespace) -> None:
    """What a job costs that has next to nothing to do: the session, and the stages."""
    with tempfile.TemporaryDirectory() as folder:
        table_of_blocks(Path(folder, "in"), 2, 1)
        begun = time.perf_counter()
        spark = session(2)
        started = time.perf_counter() - begun
        times = []
        for number in range(5):
            job = Job("verify", f"{folder}/in", f"{folder}/out-{number}", rounds=0)
            times.append(timed(lambda: run(job, spark)))
        spark.stop()
    say(figure="start", session_s=started, first_job_s=times[0], later_job_s=statistics.median(times[1:]))


def many(args: argparse.Namespace) -> None:
    """Many small blocks, end to end."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(args.source or f"{folder}/in")
        begun = time.perf_counter()
        if not source.exists():
            table_of_blocks(source, args.blocks, args.small)
        generated = time.perf_counter() - begun
        begun = time.perf_counter()
        spark = session(2)
        report = run(Job("verify", str(source), f"{folder}/out", rounds=0), spark, say_plainly)
        took = time.perf_counter() - begun
        spark.stop()
        stored = sum(it.stat().st_size for it in source.iterdir())
        written = sum(it.stat().st_size for it in Path(folder, "out").rglob("*.parquet"))
    say(
        figure="many", blocks=report.rows, wrong=report.wrong, txs=args.small,
        stored_bytes=stored, written_bytes=written, partitions=report.partitions,
        generate_s=generated, job_s=took, blocks_per_s=report.rows / took, mgas_per_s=report.gas / took / 1e6,
    )  # fmt: skip


def say_plainly(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def era(block: int) -> str:
    return max((first, name) for name, first in ERAS.items() if first <= block)[1]


def lengths(end: int) -> Iterator[tuple[str, int]]:
    firsts = [*ERAS.values(), end]
    for (name, first), end in zip(ERAS.items(), firsts[1:], strict=True):
        yield name, end - first


def history(args: argparse.Namespace) -> None:
    """What a core needs for each fork's real blocks, and by that for the whole chain."""
    with (Path(args.folder) / "index.tsv").open() as file:
        index = {row["file"]: row for row in csv.DictReader(file, delimiter="\t")}
    costs: dict[str, list[tuple[float, int, int]]] = defaultdict(list)
    for path in map(Path, expand([args.folder])):
        row = index.get(path.name)
        if row is None or row["chain"] != "1":
            continue
        file = str(path)
        # The first time, the system may not have the file.
        times = [timed(lambda: arrow.verify([file], workers=1, rounds=0)) for _ in range(args.rounds + 1)]
        cost = statistics.median(times[1:])
        costs[era(int(row["block"]))].append((cost, int(row["gas"]), path.stat().st_size))
    total, end = 0.0, 1 + max(int(row["block"]) for row in index.values() if row["chain"] == "1")
    for name, blocks in lengths(end):
        found = costs[name]
        seconds, gas, size = (sum(column) for column in zip(*found, strict=True)) if found else (0, 0, 0)
        count = len(found)
        if count == 0:
            say(figure="era", era=name, blocks=blocks, sample=0)
            continue
        core_hours = seconds / count * blocks / 3600
        total += core_hours
        say(
            figure="era", era=name, blocks=blocks, sample=count, ms_per_block=1e3 * seconds / count,
            mgas_per_block=gas / count / 1e6, mgas_per_s=gas / 1e6 / seconds,
            kb_per_block=size / count / 1e3, core_hours=core_hours, terabytes=size / count * blocks / 1e12,
        )  # fmt: skip
    say(figure="history", blocks=end, core_hours=total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    made = commands.add_parser("grain")
    made.add_argument("--txs", type=int, nargs="+", default=[1, 10, 100, 1000])
    made.add_argument("--work", type=int, default=100_000, help="transactions of a series, about")
    made.add_argument("--rounds", type=int, default=3)
    made.set_defaults(run=grain)
    made = commands.add_parser("batches")
    made.add_argument("--txs", type=int, nargs="+", default=[1, 10, 100])
    made.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 64, 256])
    made.add_argument("--blocks", type=int, default=5_000)
    made.add_argument("--rounds", type=int, default=3)
    made.set_defaults(run=batches)
    commands.add_parser("start").set_defaults(run=start)
    made = commands.add_parser("many")
    made.add_argument("--blocks", type=int, default=100_000)
    made.add_argument("--small", type=int, default=5, help="transactions of a block")
    made.add_argument("--source", metavar="DIR", help="where the blocks are, or are generated if there is nothing")
    made.set_defaults(run=many)
    made = commands.add_parser("history")
    made.add_argument("folder")
    made.add_argument("--rounds", type=int, default=3)
    made.set_defaults(run=history)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
