"""What runs in Spark's Python workers: blocks in, a Parquet file for each partition out."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import braid_evm
from braid_evm import _native, arrow

_Row = dict[str, Any]

#: Columns of `survey`: those of `verify`, and what limits the block.
SURVEY = pa.schema(
    [
        *(field for field in arrow.VERIFY if field.name not in ("error", "error_kind", "transaction")),
        *(arrow.EXPLAIN.field(name) for name in ("work", "longest", "chain", "late_read")),
        *(arrow.EXPLAIN.field(name) for name in ("on_workers", "conflicts", "other_conflicts")),
        *(arrow.VERIFY.field(name) for name in ("error", "error_kind", "transaction")),
    ]
)

SCHEMAS = {"verify": arrow.VERIFY, "explain": arrow.EXPLAIN, "survey": SURVEY}

#: Rows of a partition that are held before they are written.
_GROUP = 64

#: What a partition reports to the driver.
DONE = "part int, blocks long, failures long, gas long"
_DONE = pa.schema(
    [("part", pa.int32()), ("blocks", pa.int64()), ("failures", pa.int64()), ("gas", pa.int64())]
)


@dataclass(frozen=True)
class Work:
    """What is done with each block."""

    command: str
    workers: int
    rounds: int
    top: int
    output: str

    def row(self, source: bytes | str, name: str) -> _Row:
        """The row of a block."""
        return arrow.row(lambda: self._row(source, name), name)

    def _row(self, source: bytes | str, name: str) -> _Row:
        made: _Row = {}
        if self.command != "verify":
            explained = braid_evm.explain(source, top=self.top, workers=self.workers, name=name)
            made = arrow.explain_row(explained)
        if self.command != "explain":
            verified = braid_evm.verify(source, rounds=self.rounds, workers=self.workers, name=name)
            made = {**made, **arrow.verify_row(verified), "error": None}
        return made


def file_of(output: str | Path, part: int) -> Path:
    """The file of a partition's rows."""
    return Path(output) / f"part-{part:05}.parquet"


def batches_of_names(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, str, bytes | None]]:
    """Partition, name and, where Spark has read them, bytes of each block."""
    for batch in batches:
        parts, names = batch.column("part"), batch.column("name")
        blocks = batch.column("block") if "block" in batch.schema.names else None
        for index in range(batch.num_rows):
            # A table's row without bytes is no block; its name is not a path.
            block = None if blocks is None else blocks[index].as_py() or b""
            yield parts[index].as_py(), names[index].as_py(), block


def work_on(work: Work, add: Callable[[str, int], None]) -> Callable[..., Iterator[pa.RecordBatch]]:
    """The function for `mapInArrow`. `add` counts for the driver while the partition runs."""

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        schema = SCHEMAS[work.command]
        writer: pq.ParquetWriter | None = None
        rows: list[_Row] = []
        part, count, failures, gas = -1, 0, 0, 0
        partial = Path()
        for this, name, block in batches_of_names(batches):
            if writer is None:
                part = this
                whole = file_of(work.output, part)
                # An attempt beside this one, or one that was killed, has a file of its own.
                partial = whole.with_name(f".{whole.name}.{uuid.uuid4().hex}.partial")
                writer = pq.ParquetWriter(partial, schema)
            if this != part:
                raise RuntimeError(f"partitions {part} and {this} came to one task")
            row = work.row(name if block is None else block, name)
            rows.append(row)
            failed, used = row.get("error_kind") is not None, row.get("gas") or row.get("work") or 0
            count, failures, gas = count + 1, failures + failed, gas + used
            add("blocks", 1)
            add("failures", int(failed))
            add("gas", used)
            if len(rows) == _GROUP:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                rows.clear()
        if writer is None:
            return
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
        writer.close()
        # From here on the partition is done: a restart skips it, another attempt replaces the file by the same rows.
        os.replace(partial, file_of(work.output, part))
        done = {"part": part, "blocks": count, "failures": failures, "gas": gas}
        yield from pa.Table.from_pylist([done], schema=_DONE).to_batches()

    return task


WEIGHED = "name string, gas long"


def weigh(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Estimates the gas of each block, for `mapInArrow`; 0 for what is no block file."""
    for batch in batches:
        names = batch.column("name")
        blocks = batch.column("block") if "block" in batch.schema.names else names
        gas = [_native.gas_estimate(it.as_py()) or 0 if it.is_valid else 0 for it in blocks]
        yield pa.RecordBatch.from_arrays([names, pa.array(gas, pa.int64())], names=["name", "gas"])
