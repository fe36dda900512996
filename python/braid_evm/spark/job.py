"""The driver: weighs the blocks, shares them out, and runs what an earlier run has not finished."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from braid_evm.sources import expand

from . import task
from .plan import Plan, Weighed, keys, pack

COMMANDS = ("verify", "explain", "survey")
_PLAN = "_plan.json"

#: Blocks that Spark hands to a worker at once: a block may have many megabytes.
_BATCH = 4

#: Seconds between two lines about progress.
_EVERY = 5.0


class JobError(Exception):
    """A job that cannot begin; the message says what to do."""


@dataclass(frozen=True)
class Job:
    """What is asked for."""

    command: str
    #: A folder of block files, or of Parquet files with the columns `block` (bytes) and, if there is one, `name`.
    input: str
    #: A folder, which becomes a Parquet table; what an earlier run of the same job has left there is kept.
    output: str
    #: Number of partitions; from the number of cores and blocks by default.
    partitions: int | None = None
    rounds: int = 1
    top: int = 5
    column: str = "block"


@dataclass(frozen=True)
class Report:
    """What a run has done."""

    partitions: int
    #: Partitions that an earlier run had finished.
    skipped: int
    blocks: int
    failures: int
    gas: int


def run(job: Job, spark: SparkSession, say: Callable[[str], None] = lambda _: None) -> Report:
    """Runs `job` to its end. `say` hears what is happening."""
    if job.command not in COMMANDS:
        raise JobError(f"expected a command of {', '.join(COMMANDS)}, found {job.command!r}")
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(_BATCH))
    blocks = _blocks(job, spark)
    output = Path(job.output)
    question = {
        "command": job.command,
        "input": str(Path(job.input).absolute()),
        "files": _fingerprint(Path(job.input)),
        "column": job.column,
        "rounds": job.rounds,
        "top": job.top,
    }
    plan = _plan(job, spark, blocks, output, question, say)
    missing = [
        part
        for part, names in enumerate(plan.partitions)
        if names and not task.file_of(output, part).exists()
    ]
    skipped = len(plan.partitions) - len(missing)
    if skipped:
        say(f"{skipped} of {len(plan.partitions)} partitions are there from an earlier run")
    report = _work(job, spark, blocks, plan, missing, say)
    for partial in output.glob(".*.partial"):
        partial.unlink()
    return report


def _blocks(job: Job, spark: SparkSession) -> DataFrame:
    """The blocks of the input, by name: with bytes out of a Parquet table, without out of a folder of files."""
    folder = Path(job.input)
    if not folder.exists():
        raise JobError(f"{job.input}: expected a folder of block files or a Parquet table")
    if folder.is_file() or any(folder.rglob("*.parquet")):
        table = spark.read.parquet(job.input)
        if job.column not in table.columns:
            found = ", ".join(table.columns)
            raise JobError(f"{job.input}: expected a column {job.column!r} of bytes, found {found}")
        block = F.col(job.column).cast("binary")
        name = F.col("name").cast("string") if "name" in table.columns else F.sha2(block, 256)
        return table.select(name.alias("name"), block.alias("block"))
    names = [file for file in expand([folder.absolute()]) if file != str(folder.absolute())]
    if not names:
        raise JobError(f"{job.input}: expected block files (.json, .json.gz, .json.zst), found none")
    slices = min(len(names), 4 * spark.sparkContext.defaultParallelism)
    return spark.createDataFrame(
        spark.sparkContext.parallelize([(name,) for name in names], slices), "name string"
    )


def _fingerprint(folder: Path) -> str:
    """Tells one state of the input from another: names and sizes of its files."""
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.parquet")) or [
        Path(name) for name in expand([folder])
    ]
    listed = "\n".join(f"{file.relative_to(folder.parent)} {file.stat().st_size}" for file in files)
    return hashlib.sha256(listed.encode()).hexdigest()


def _plan(
    job: Job,
    spark: SparkSession,
    blocks: DataFrame,
    output: Path,
    question: dict[str, Any],
    say: Callable[[str], None],
) -> Plan:
    """The plan of an earlier run of this job, or a new one."""
    path = output / _PLAN
    if path.exists():
        plan = Plan.read(path)
        if plan.question != question:
            raise JobError(
                f"{job.output}: holds the output of another job or of files that were others, "
                f"{plan.question}: choose another folder"
            )
        return plan
    if output.exists() and any(not it.name.startswith(".") for it in output.iterdir()):
        raise JobError(f"{job.output}: is neither empty nor of an earlier run: choose another folder")
    say("weighing blocks")
    _describe(spark, "braid: weigh blocks")
    rows = blocks.mapInArrow(task.weigh, task.WEIGHED).collect()
    if any(row.name is None for row in rows):
        raise JobError(f"{job.input}: expected a name for each block, found a row without name or bytes")
    weighed = [Weighed(row.name, row.gas) for row in rows]
    if len({it.name for it in weighed}) < len(weighed):
        raise JobError(f"{job.input}: expected a name of its own for each block in column 'name'")
    parallel = spark.sparkContext.defaultParallelism
    partitions = job.partitions or max(parallel, min(len(weighed) // 16, 64 * parallel))
    plan = Plan(question, pack(weighed, partitions))
    output.mkdir(parents=True, exist_ok=True)
    plan.write(path)
    say(f"{len(weighed)} blocks in {len(plan.partitions)} partitions")
    return plan


def _work(
    job: Job,
    spark: SparkSession,
    blocks: DataFrame,
    plan: Plan,
    missing: list[int],
    say: Callable[[str], None],
) -> Report:
    count, skipped = len(missing), len(plan.partitions) - len(missing)
    if not missing:
        return Report(len(plan.partitions), skipped, 0, 0, 0)
    context = spark.sparkContext
    hashed = spark.range(32 * count + 256).select(F.pmod(F.hash("id"), F.lit(count)).alias("at"))
    salts = keys([row["at"] for row in hashed.collect()], count)
    shares = [
        (name, part, salt)
        for part, salt in zip(missing, salts, strict=True)
        for name in plan.partitions[part]
    ]
    share = spark.createDataFrame(shares, "name string, part int, salt long")
    if "block" in blocks.columns:
        share = blocks.join(F.broadcast(share), "name")
    counters = {name: context.accumulator(0) for name in ("blocks", "failures", "gas")}
    workers = int(context.getConf().get("spark.task.cpus", "1") or 1)
    work = task.Work(job.command, workers, job.rounds, job.top, str(Path(job.output).absolute()))
    done = share.repartition(count, "salt").drop("salt")
    done = done.mapInArrow(task.work_on(work, _Add(counters)), task.DONE)
    _describe(spark, f"braid: {job.command} {count} partitions")
    with _Progress(counters, len(shares), say):
        rows = done.collect()
    if sorted(row.part for row in rows) != missing:
        raise JobError(f"{job.output}: not every partition came to its end: run the job again")
    if sum(row.blocks for row in rows) != len(shares):
        raise JobError(f"{job.input}: has changed since the job was begun: choose another output")
    # Each partition once; the accumulators also have the attempts that failed.
    sums = [sum(row[name] for row in rows) for name in ("blocks", "failures", "gas")]
    return Report(len(plan.partitions), skipped, *sums)


class _Add:
    """Adds to accumulators, in a worker."""

    def __init__(self, counters: dict[str, Any]) -> None:
        self.counters = counters

    def __call__(self, name: str, value: int) -> None:
        self.counters[name].add(value)


class _Progress:
    """Says every few seconds how far a stage is. Spark adds up accumulators whenever a task has ended."""

    def __init__(self, counters: dict[str, Any], total: int, say: Callable[[str], None]) -> None:
        self.counters, self.total, self.say = counters, total, say
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    def _watch(self) -> None:
        said = 0
        while not self.ended.wait(_EVERY):
            blocks, failures, gas = (self.counters[name].value for name in self.counters)
            if blocks != said:
                said = blocks
                self.say(
                    f"{blocks} of {self.total} blocks, {failures} without a result, {gas / 1e6:.1f} Mgas"
                )


def _describe(spark: SparkSession, text: str) -> None:
    spark.sparkContext.setJobDescription(text)


def wrong_rows(output: str) -> tuple[int, int]:
    """Number of rows of an output that are not ok, and of all."""
    files = sorted(Path(output).glob("part-*.parquet"))
    columns = [pq.read_table(file, columns=["ok"])["ok"] for file in files]
    flat = [ok for column in columns for ok in column.to_pylist()]
    return len(flat) - sum(bool(ok) for ok in flat), len(flat)


def has_java() -> bool:
    """Whether Spark will find Java."""
    home = os.environ.get("JAVA_HOME")
    return shutil.which("java") is not None or bool(home and Path(home, "bin/java").exists())
