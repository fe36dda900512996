"""What runs in Spark's Python workers: blocks in, a row for each block out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from braid_evm import _native, arrow

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

#: Rows that are held before they are handed to Spark.
_GROUP = 64

#: One block: partition, name, and where Spark has read them the bytes of block and witness.
_Block = tuple[int, str, "bytes | None", "bytes | None"]


@dataclass(frozen=True)
class Work:
    """What is done with each block."""

    command: str
    workers: int
    rounds: int
    top: int

    def lines(self) -> arrow.Lines:
        """Lines about blocks, which become rows."""
        verify = {"rounds": self.rounds, "workers": self.workers}
        explain = {"top": self.top, "workers": self.workers}
        return arrow.Lines(
            None if self.command == "explain" else verify,
            None if self.command == "verify" else explain,
        )


def _blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[_Block]:
    for batch in batches:
        read = "block" in batch.schema.names
        columns = [batch.column(name) for name in ("part", "name", *(("block", "witness") if read else ()))]
        for index in range(batch.num_rows):
            part, name, *bytes_ = (column[index].as_py() for column in columns)
            # A table's row without bytes is no block; its name is not a path.
            yield part, name, (bytes_[0] or b"") if read else None, bytes_[1] if read else None


def schema(work: Work) -> pa.Schema:
    """Columns of the rows: `part`, and those of the command."""
    return pa.schema([pa.field("part", pa.int32()), *SCHEMAS[work.command]])


def work_on(work: Work, add: Callable[[str, int], None]) -> Callable[..., Iterator[pa.RecordBatch]]:
    """The function for `mapInArrow`. `add` counts for the driver while the partition runs."""

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        lines, this = work.lines(), -1
        for part, name, block, witness in _blocks(batches):
            if this not in (-1, part):
                raise RuntimeError(f"partitions {this} and {part} came to one task")
            this = part
            lines.add(name if block is None else block, name, witness)
            if len(lines) == _GROUP:
                yield _rows(work, lines, part, add)
                lines = work.lines()
        if len(lines):
            yield _rows(work, lines, this, add)

    return task


def _rows(
    work: Work, lines: arrow.Lines, part: int, add: Callable[[str, int], None]
) -> pa.RecordBatch:
    table = lines.table(SCHEMAS[work.command])
    gas = table[next(name for name in ("gas", "work") if name in table.column_names)]
    add("blocks", table.num_rows)
    add("failures", table.num_rows - table["error_kind"].null_count)
    add("gas", pc.sum(gas).as_py() or 0)
    parts = pa.repeat(pa.scalar(part, pa.int32()), table.num_rows)
    [batch] = table.add_column(0, "part", parts).combine_chunks().cast(schema(work)).to_batches()
    return batch


WEIGHED = "name string, gas long"

#: Gas that a header can tell has 64 bits without a sign; Spark's `long` has one.
_MOST = 2**63 - 1


def weigh(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Estimates the gas of each block, for `mapInArrow`; 0 for what is no block file."""
    for batch in batches:
        names = batch.column("name")
        blocks = batch.column("block") if "block" in batch.schema.names else names
        told = [_native.gas_estimate(it.as_py()) or 0 if it.is_valid else 0 for it in blocks]
        gas = [min(it, _MOST) for it in told]
        yield pa.RecordBatch.from_arrays([names, pa.array(gas, pa.int64())], names=["name", "gas"])
