"""`braid-spark`: verifies, explains or surveys many blocks with Apache Spark."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

_EXAMPLES = """\
examples:
  braid-spark verify blocks/ verified/                    on all cores of this machine
  braid-spark survey blocks/ survey/ --master 'local[2]'
  braid-spark explain table.parquet explained/ --column block
  braid-spark verify blocks/ verified/ --task-cores 4     each block on four workers
  braid-spark verify hdfs://name/blocks hdfs://name/verified --master spark://host:7077

INPUT is a folder of block files (.json, .json.gz, .json.zst) or a Parquet table with a column of their bytes.
OUTPUT is a folder that becomes a Parquet table of one row for each block; a block that gives no result is a row
with its reason. A job that was interrupted goes on where it was: finished partitions are skipped.

Exit code: 0 if every block agrees; 1 if a row is not ok; 2 if the job cannot run."""

_NO_SPARK = "expected PySpark: pip install 'braid-evm[spark]'"

RIGHT, WRONG, NO_JOB, INTERRUPTED = 0, 1, 2, 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "braid-spark",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = "verify: both ways, compared; explain: what limits the block; survey: both"
    parser.add_argument("command", choices=("verify", "explain", "survey"), help=commands)
    parser.add_argument("input", metavar="INPUT")
    parser.add_argument("output", metavar="OUTPUT")
    parser.add_argument("--master", metavar="URL", help="Spark's master; all cores by default")
    parser.add_argument("--task-cores", type=int, metavar="N", help="cores and workers of a task")
    parser.add_argument("--partitions", type=int, metavar="N", help="parts of the work")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="timed runs each way")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="locations that are listed")
    parser.add_argument("--conf", action="append", default=[], metavar="KEY=VALUE", help="a setting of Spark")
    parser.add_argument("--column", default="block", metavar="NAME", help="column of the bytes")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command of `arguments`, or of the process, and returns the exit code."""
    args = _parser().parse_args(arguments)
    try:
        from pyspark.sql import SparkSession

        from . import java
        from .job import Job, JobError, run
    except ImportError as error:
        return _fail(f"{_NO_SPARK} ({error})")
    if why := java.lacking():
        return _fail(why)
    if min(args.rounds, args.top) < 0 or min(args.partitions or 1, args.task_cores or 1) < 1:
        return _fail("expected numbers of at least 0, and of at least 1 for partitions and cores")
    job = Job(
        command=args.command,
        input=args.input,
        output=args.output,
        partitions=args.partitions,
        rounds=args.rounds,
        top=args.top,
        column=args.column,
    )
    # The workers need the packages that this process has.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(f"braid-spark {args.command}")
    builder = builder.config("spark.ui.showConsoleProgress", "true")
    if args.master:
        builder = builder.master(args.master)
    for setting in args.conf:
        key, equals, value = setting.partition("=")
        if not equals:
            return _fail(f"expected --conf KEY=VALUE, found {setting!r}")
        builder = builder.config(key, value)
    if args.task_cores:
        builder = builder.config("spark.task.cpus", str(args.task_cores))
    begun = time.monotonic()
    spark = None
    try:
        spark = builder.getOrCreate()
        report = run(job, spark, _say)
    except JobError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        _say("interrupted: the same command goes on")
        return INTERRUPTED
    except Exception as error:  # Spark, Java and file systems have errors of many kinds.
        first = next(iter(str(error).strip().splitlines()), "no message")
        return _fail(f"{type(error).__name__}: {first}")
    finally:
        if spark is not None:
            spark.stop()
    seconds = time.monotonic() - begun
    _say(
        f"{report.blocks} blocks, {report.failures} without a result, {report.gas / 1e6:.1f} Mgas "
        f"in {report.partitions - report.skipped} partitions, {seconds:.1f} s"
    )
    for file, reason in report.first_wrong:
        print(f"{file}: {reason}", file=sys.stderr)
    if report.wrong > len(report.first_wrong):
        print(f"and {report.wrong - len(report.first_wrong)} more: rows where ok is false", file=sys.stderr)
    print(f"{args.output}: {report.rows} rows, {report.wrong} of them not ok")
    return WRONG if report.wrong else RIGHT


def _say(text: str) -> None:
    print(f"braid-spark: {text}", file=sys.stderr, flush=True)


def _fail(text: str) -> int:
    print(f"error: {text}", file=sys.stderr)
    return NO_JOB


if __name__ == "__main__":
    sys.exit(main())
