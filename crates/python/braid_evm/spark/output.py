"""The output: a folder for each partition with one Parquet file, written and read by Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from .files import Files

#: A task's file gets its name when the task is committed, not when the whole job is: what a killed job had finished is there.
_COMMIT_EACH_TASK = {"mapreduce.fileoutputcommitter.algorithm.version": "2"}

#: `finished` takes a second file of a partition for a repetition, so no setting of a cluster may divide a partition.
_ONE_FILE = {"maxRecordsPerFile": "0"}


@dataclass(frozen=True)
class Sums:
    """What the rows of a partition come to."""

    blocks: int
    failures: int
    gas: int
    wrong: int


def listed(spark: SparkSession, folder: str, names: str) -> DataFrame:
    """`path` and `length` of the files below `folder` whose names match; nothing is read of them."""
    files = spark.read.format("binaryFile").option("pathGlobFilter", names)
    return files.option("recursiveFileLookup", "true").load(folder).select("path", "length")


def write(rows: DataFrame, folder: str) -> None:
    """Writes rows; those of partition `part` into the folder `part=N`. Each task that ends is there at once."""
    rows.write.mode("append").options(**_COMMIT_EACH_TASK, **_ONE_FILE).partitionBy("part").parquet(folder)


def finished(spark: SparkSession, files: Files, folder: str) -> set[int]:
    """The partitions that are there. Of several files of one, which an earlier driver may have left behind, one stays."""
    found: dict[int, list[str]] = {}
    for row in listed(spark, folder, "*.parquet").collect():
        part = row.path.rsplit("/", 2)[1]
        found.setdefault(int(part.removeprefix("part=")), []).append(row.path)
    for paths in found.values():
        for extra in sorted(paths)[1:]:
            files.remove(extra)
    return set(found)


def first_wrong(spark: SparkSession, folder: str, most: int) -> list[tuple[str, str]]:
    """The first rows of the output that are not ok, at most `most`: file and reason."""
    rows = spark.read.parquet(folder).where(~F.col("ok")).select("file", "error")
    return [(row.file, row.error) for row in rows.orderBy("file").limit(most).collect()]


def sums(spark: SparkSession, folder: str) -> Mapping[int, Sums]:
    """What is in the output, for each partition."""
    table = spark.read.parquet(folder)
    used = [F.col(name) for name in ("gas", "work") if name in table.columns]
    failed = F.col("error_kind").isNotNull()
    rows = table.groupBy("part").agg(
        F.count("*").alias("blocks"),
        F.count_if(failed).alias("failures"),
        F.sum(F.coalesce(*used, F.lit(0))).alias("gas"),
        F.count_if(~F.col("ok")).alias("wrong"),
    )
    return {
        int(row.part): Sums(row.blocks, row.failures, int(row.gas), row.wrong)
        for row in rows.collect()
    }
