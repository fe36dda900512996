"""The input: a folder of block files, or a Parquet table with their bytes."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from braid_evm.sources import expand, printable

from .files import Files
from .output import listed

_ENDS = r"\.json(\.gz|\.zst)?$"
_WITNESS = r"\.witness" + _ENDS

#: Begins of names that Hadoop's file systems hide.
_HIDDEN = (".", "_")

#: Paths from the input on: block files lie in it, those of a table may lie in folders `key=value`. What else lies deeper,
#: such as the output of an earlier job, is not read.
_OF_BLOCKS = "^[^/]+$"
_OF_TABLE = r"^(([^/=]+=[^/]*/)*[^/]+\.parquet)?$"


class NoInput(Exception):
    """What was named is no input; the message says what is expected."""


def blocks(spark: SparkSession, files: Files, path: str, column: str) -> tuple[DataFrame, str]:
    """The blocks of the input, and what tells one state of it from another: names and sizes of its files.

    Columns: `name`, and where tasks cannot read the files themselves `block` and `witness`, the bytes.
    """
    if not files.exists(path):
        raise NoInput(f"{path}: expected a folder of block files or a Parquet table")
    folder = files.whole(path)
    parquet = _placed(listed(spark, path, "*.parquet"), folder, _OF_TABLE)
    if not parquet.isEmpty():
        return _table(spark, path, column), _fingerprint(parquet)
    if not files.is_folder(path):
        raise NoInput(f"{path}: expected a folder of block files or a Parquet table, found another file")
    found = _placed(listed(spark, path, "*.json*"), folder, _OF_BLOCKS)
    local = files.local(path)
    made = _of_workers(spark, local) if local else _of_spark(spark, folder)
    if made is None:
        raise NoInput(f"{path}: expected block files (.json, .json.gz, .json.zst), found none")
    return made, _fingerprint(found)


def _placed(found: DataFrame, folder: str, places: str) -> DataFrame:
    """Those of the files below `folder` whose paths from there on match."""
    below = F.expr(f"substring(path, {len(folder.rstrip('/')) + 2})")
    return found.where(below.rlike(places))


def _table(spark: SparkSession, path: str, column: str) -> DataFrame:
    table = spark.read.parquet(path)
    if column not in table.columns:
        found = ", ".join(table.columns)
        raise NoInput(f"{path}: expected a column {column!r} of bytes, found {found}")
    block = F.col(column).cast("binary")
    name = F.col("name").cast("string") if "name" in table.columns else F.sha2(block, 256)
    witness = F.col("witness") if "witness" in table.columns else F.lit(None)
    return table.select(name.alias("name"), block.alias("block"), witness.cast("binary").alias("witness"))


def _of_workers(spark: SparkSession, folder: str) -> DataFrame | None:
    """Files that every task reads by their paths, with the witnesses beside them.

    As of any other file system, those are left out that Hadoop hides. A column of strings has UTF-8: a file whose name is
    not UTF-8 is not found by the name that the column has, and becomes a row that says so.
    """
    whole = str(Path(folder).absolute())
    names = [
        printable(file) for file in expand([whole]) if file != whole and not Path(file).name.startswith(_HIDDEN)
    ]
    if not names:
        return None
    slices = min(len(names), 4 * spark.sparkContext.defaultParallelism)
    rows = spark.sparkContext.parallelize([(name,) for name in names], slices)
    return spark.createDataFrame(rows, "name string")


def _of_spark(spark: SparkSession, folder: str) -> DataFrame | None:
    """Files that Spark reads, each with its witness."""
    # Spark takes folders `key=value` for a table's, unless it reads all that lies deeper.
    every = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    read = _placed(every.option("pathGlobFilter", "*.json*").load(folder), folder, _OF_BLOCKS)
    stem = F.regexp_replace("path", _ENDS, "").alias("stem")
    is_witness = F.col("path").rlike(_WITNESS)
    is_hidden = F.element_at(F.split("path", "/"), -1).startswith(".")
    is_block = F.col("path").rlike(_ENDS) & ~is_witness & ~is_hidden
    found = read.where(is_block).select("path", F.col("content").alias("block"), stem)
    if found.select("path").isEmpty():
        return None
    beside = F.regexp_replace("path", _WITNESS, "").alias("stem")
    # Of several ways of packing the one that the tool takes: zstd, then gzip.
    witnesses = read.where(is_witness).groupBy(beside).agg(F.max_by("content", "path").alias("witness"))
    joined = found.join(witnesses, "stem", "left")
    return joined.select(F.col("path").alias("name"), "block", "witness")


def _fingerprint(found: DataFrame) -> str:
    """Names and sizes of files, as one number that does not depend on their order."""
    hashed = F.sum(F.xxhash64("path", "length").cast("decimal(38,0)"))
    [row] = found.agg(F.count("*").alias("files"), hashed.alias("hash")).collect()
    return f"{row.files} files, {row.hash}"
