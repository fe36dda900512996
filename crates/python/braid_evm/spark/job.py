"""The driver: weighs the blocks, shares them out, and runs what an earlier run has not finished."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from . import output, source, task
from .files import Files
from .plan import Plan, Weighed, keys, pack

COMMANDS = ("verify", "explain", "survey")
_PLAN = "_plan.json"

#: What Spark takes for a pattern of names: it would read other folders than Hadoop writes and removes.
_PATTERN = frozenset("{}[]*?\\")

#: Bytes that Spark hands to a worker at once: a block may have many megabytes.
_BATCH_BYTES = 16 << 20

#: Rows that are not ok and are named with their reason.
_NAMED = 5

#: Seconds between two lines about progress.
_EVERY = 5.0


class JobError(Exception):
    """A job that cannot begin; the message says what to do."""


@dataclass(frozen=True)
class Job:
    """What is asked for. Paths are those of Spark: of local files, `hdfs://` and others."""

    command: str
    #: A folder of block files, or of Parquet files with a column of bytes and, if there are any, `name` and `witness`.
    input: str
    #: A folder, which becomes a Parquet table; what an earlier run of the same job has left there is kept.
    output: str
    #: Number of partitions; from the number of cores and blocks by default.
    partitions: int | None = None
    rounds: int = 1
    top: int = 5
    column: str = "block"
    #: Blocks that Spark hands to a worker at once, at most: small blocks must not come one by one.
    batch: int = 64


@dataclass(frozen=True)
class Report:
    """What a run has done."""

    partitions: int
    #: Partitions that an earlier run had finished.
    skipped: int
    blocks: int
    failures: int
    gas: int
    #: Rows of the whole output, and how many of them are not ok.
    rows: int
    wrong: int
    #: The first of these: file and reason.
    first_wrong: tuple[tuple[str, str], ...]


def run(job: Job, spark: SparkSession, say: Callable[[str], None] = lambda _: None) -> Report:
    """Runs `job` to its end. `say` hears what is happening."""
    if job.command not in COMMANDS:
        raise JobError(f"expected a command of {', '.join(COMMANDS)}, found {job.command!r}")
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(job.batch))
    spark.conf.set("spark.sql.execution.arrow.maxBytesPerBatch", str(_BATCH_BYTES))
    files = Files(spark)
    for path in (job.input, job.output):
        if found := _PATTERN.intersection(files.whole(path)):
            raise JobError(
                f"{path}: has {' '.join(sorted(found))} in its whole path, which Spark takes for a pattern of names: "
                "choose or link a folder whose path has none of { } [ ] * ? \\"
            )
    folder = files.whole(job.output)
    if f"{folder}/".startswith(f"{files.whole(job.input)}/"):
        raise JobError(f"{job.output}: lies in the input: choose a folder outside {job.input}")
    try:
        blocks, fingerprint = source.blocks(spark, files, job.input, job.column)
    except source.NoInput as error:
        raise JobError(str(error)) from None
    question = {
        "command": job.command,
        "input": files.whole(job.input),
        "files": fingerprint,
        "column": job.column,
        "rounds": job.rounds,
        "top": job.top,
    }
    plan = _plan(job, spark, blocks, files, folder, question, say)
    there = output.finished(spark, files, folder)
    missing = [part for part in range(len(plan.partitions)) if part not in there]
    if there:
        say(f"{len(there)} of {len(plan.partitions)} partitions are there from an earlier run")
    if missing:
        # What tasks that were killed had begun to write.
        files.remove(f"{folder}/_temporary")
        _work(job, spark, blocks, plan, missing, folder, say)
        output.finished(spark, files, folder)
    return _report(job, spark, plan, missing, folder)


def _plan(
    job: Job,
    spark: SparkSession,
    blocks: DataFrame,
    files: Files,
    folder: str,
    question: dict[str, Any],
    say: Callable[[str], None],
) -> Plan:
    """The plan of an earlier run of this job, or a new one."""
    path = f"{folder}/{_PLAN}"
    if files.exists(path):
        plan = Plan.parse(files.read(path))
        if plan.question != question:
            raise JobError(
                f"{job.output}: holds the output of another job or of files that were others, "
                f"{plan.question}: choose another folder"
            )
        return plan
    if files.exists(folder) and not files.is_folder(folder):
        raise JobError(f"{job.output}: is a file: choose a folder")
    if files.exists(folder) and any(not name.startswith(".") for name in files.names(folder)):
        raise JobError(f"{job.output}: is neither empty nor of an earlier run: choose another folder")
    say("weighing blocks")
    _describe(spark, "braid: weigh blocks")
    columns = [name for name in ("name", "block") if name in blocks.columns]
    rows = blocks.select(*columns).mapInArrow(task.weigh, task.WEIGHED).collect()
    if not rows:
        raise JobError(f"{job.input}: expected blocks, found a table without rows")
    if any(row.name is None for row in rows):
        raise JobError(f"{job.input}: expected a name for each block, found a row without name or bytes")
    weighed = [Weighed(row.name, row.gas) for row in rows]
    if len({it.name for it in weighed}) < len(weighed):
        raise JobError(f"{job.input}: expected a name of its own for each block in column 'name'")
    parallel = spark.sparkContext.defaultParallelism
    partitions = job.partitions or max(parallel, min(len(weighed) // 16, 64 * parallel))
    plan = Plan(question, pack(weighed, partitions))
    files.write(path, plan.text())
    say(f"{len(weighed)} blocks in {len(plan.partitions)} partitions")
    return plan


def _work(
    job: Job,
    spark: SparkSession,
    blocks: DataFrame,
    plan: Plan,
    missing: list[int],
    folder: str,
    say: Callable[[str], None],
) -> None:
    count, context = len(missing), spark.sparkContext
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
    work = task.Work(job.command, workers, job.rounds, job.top)
    columns = spark.createDataFrame(task.schema(work).empty_table()).schema
    rows = share.repartition(count, "salt").drop("salt")
    rows = rows.mapInArrow(task.work_on(work, _Add(counters)), columns)
    _describe(spark, f"braid: {job.command} {count} partitions")
    with _Progress(counters, len(shares), say):
        output.write(rows, folder)


def _report(job: Job, spark: SparkSession, plan: Plan, missing: list[int], folder: str) -> Report:
    """What the rows say. The accumulators also have the attempts that failed."""
    sums = output.sums(spark, folder)
    lacking = [part for part in range(len(plan.partitions)) if part not in sums]
    if lacking:
        raise JobError(f"{job.output}: partition {lacking[0]} did not come to its end: run the job again")
    if any(sums[part].blocks != len(names) for part, names in enumerate(plan.partitions)):
        raise JobError(f"{job.input}: has changed since the job was begun: choose another output")
    done = [sums[part] for part in missing]
    wrong = sum(it.wrong for it in sums.values())
    return Report(
        partitions=len(plan.partitions),
        skipped=len(plan.partitions) - len(missing),
        blocks=sum(it.blocks for it in done),
        failures=sum(it.failures for it in done),
        gas=sum(it.gas for it in done),
        rows=sum(it.blocks for it in sums.values()),
        wrong=wrong,
        first_wrong=tuple(output.first_wrong(spark, folder, _NAMED)) if wrong else (),
    )


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
