"""Arrow tables of many blocks, a row each. Needs `pip install braid-evm[arrow]`.

A block that gives no result is a row, too: `error` says why, `error_kind` is the class of the exception. So is one with
a number that no column has room for. Of a block that differs from the sequential run or from its header `error` has the
`differences`, and `error_kind` is null: there was no exception.

>>> import braid_evm, braid_evm.arrow
>>> blocks = [braid_evm.generate("transfers", txs=2), b"no block"]
>>> table = braid_evm.arrow.verify(blocks)
>>> table["ok"].to_pylist(), table["error_kind"].to_pylist()
([True, False], [None, 'UnreadableBlock'])
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as json_of_arrow

import braid_evm

from . import lines
from .errors import BraidError, InvalidBlock, UnreadableBlock
from .results import Execution, Segment
from .sources import BlockSource, resolve

_SEGMENTS = pa.list_(
    pa.struct(
        [
            ("first", pa.int32()),
            ("end", pa.int32()),
            ("strategy", pa.string()),
            ("reason", pa.string()),
            ("why", pa.string()),
        ]
    )
)
_BLOCK = [
    ("file", pa.string()),
    ("block", pa.int64()),
    ("hash", pa.string()),
    ("txs", pa.int32()),
    ("ok", pa.bool_()),
]
_ERROR = [
    ("error", pa.string()),
    ("error_kind", pa.string()),
    ("transaction", pa.int32()),
]

#: Columns of `verify`.
VERIFY = pa.schema(
    [
        *_BLOCK,
        ("gas", pa.int64()),
        ("checks", pa.map_(pa.string(), pa.bool_())),
        ("not_checkable", pa.map_(pa.string(), pa.string())),
        ("differences", pa.list_(pa.string())),
        ("workers", pa.int32()),
        ("skipped", pa.int32()),
        ("seq_ms", pa.float64()),
        ("par_ms", pa.float64()),
        ("speedup", pa.float64()),
        ("incarnations", pa.int64()),
        ("aborts", pa.int64()),
        ("speculative_share", pa.float64()),
        ("sequential", pa.bool_()),
        ("segments", _SEGMENTS),
        *_ERROR,
    ]
)

#: Columns of `execute`.
EXECUTE = pa.schema(
    [
        *_BLOCK,
        ("gas", pa.int64()),
        ("blob_gas", pa.int64()),
        ("chain_id", pa.int64()),
        ("fork", pa.string()),
        ("tx_gas", pa.list_(pa.int64())),
        ("tx_status", pa.list_(pa.string())),
        ("logs", pa.int64()),
        ("changed_accounts", pa.int64()),
        ("changed_slots", pa.int64()),
        ("incarnations", pa.int64()),
        ("aborts", pa.int64()),
        ("segments", _SEGMENTS),
        *_ERROR,
    ]
)

#: Columns of `explain`. Costs are gas.
EXPLAIN = pa.schema(
    [
        *_BLOCK[:2],
        *_BLOCK[3:],
        ("work", pa.int64()),
        ("longest", pa.int64()),
        ("chain", pa.int64()),
        ("late_read", pa.int64()),
        (
            "on_workers",
            pa.list_(
                pa.struct(
                    [
                        ("workers", pa.int32()),
                        ("chain", pa.int64()),
                        ("late_read", pa.int64()),
                        ("no_conflicts", pa.int64()),
                    ]
                )
            ),
        ),
        (
            "conflicts",
            pa.list_(
                pa.struct(
                    [
                        ("account", pa.string()),
                        ("locations", pa.list_(pa.string())),
                        ("kind", pa.string()),
                        ("words", pa.string()),
                        ("chain_cost", pa.int64()),
                        ("waits", pa.int32()),
                    ]
                )
            ),
        ),
        ("other_conflicts", pa.int32()),
        *_ERROR,
    ]
)

_Row = dict[str, Any]


def _fields(item: object, names: Iterable[str]) -> _Row:
    return {name: getattr(item, name) for name in names}


def _segments(segments: Iterable[Segment]) -> list[_Row]:
    return [_fields(it, ("first", "end", "strategy", "reason", "why")) for it in segments]


def _execute_row(result: Execution) -> _Row:
    row = _fields(result, ("file", "block", "hash", "gas", "blob_gas", "chain_id", "fork"))
    row["txs"] = len(result.transactions)
    row["ok"] = True
    row["tx_gas"] = [it.gas for it in result.transactions]
    row["tx_status"] = [it.status for it in result.transactions]
    row["logs"] = sum(len(it.logs) for it in result.transactions)
    row["changed_accounts"] = len(result.changes)
    row["changed_slots"] = sum(len(it.storage) for it in result.changes)
    row["incarnations"] = result.stats.incarnations
    row["aborts"] = result.stats.aborts
    row["segments"] = _segments(result.segments)
    return row


def error_row(error: BraidError) -> _Row:
    """The row of a block that gave no result."""
    row: _Row = {
        "file": error.file,
        "ok": False,
        "error": error.reason,
        "error_kind": type(error).__name__,
        "transaction": error.transaction,
    }
    if isinstance(error, InvalidBlock):
        row |= {"block": error.block, "txs": error.txs}
    return row


_Item = TypeVar("_Item")


def _made(
    make: Callable[[Sequence[_Item]], pa.Table],
    items: Sequence[_Item],
    refused: Callable[[_Item, BraidError], _Item],
) -> pa.Table:
    """The table that `make` makes of `items`; one that Arrow does not take becomes what `refused` says of it."""
    try:
        return make(items)
    except (pa.ArrowInvalid, OverflowError) as error:
        if len(items) > 1:
            half = len(items) // 2
            return pa.concat_tables(_made(make, part, refused) for part in (items[:half], items[half:]))
        reason = f"expected values that the columns have room for, numbers of at most 63 bits: {error}"
        return make([refused(items[0], UnreadableBlock(reason))])


#: Costs that a line of `explain` has within `gas`: the name there, and the column's.
_COSTS = {name: name for name in ("work", "longest", "chain", "late_read")} | {"workers": "on_workers"}
_GAS = pa.struct([pa.field(name, EXPLAIN.field(column).type) for name, column in _COSTS.items()])


def _of_line(field: pa.Field) -> pa.Field:
    """What the lines have for a column: Arrow's reader of JSON takes no maps, but lists of keys and values."""
    if not pa.types.is_map(field.type):
        return field
    pair = pa.struct([("key", field.type.key_type), ("value", field.type.item_type)])
    return pa.field(field.name, pa.list_(pair))


def _column(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """The column, with lists of keys and values as maps where these are wanted."""
    if not pa.types.is_map(kind):
        return column
    fields = [pa.field("key", kind.key_type, nullable=False), pa.field("value", kind.item_type)]
    chunks = []
    for it in column.chunks:
        entries = pa.StructArray.from_arrays([it.values.field(0), it.values.field(1)], fields=fields)
        buffers = it.buffers()[:2]
        made = pa.Array.from_buffers(kind, len(it), buffers, it.null_count, it.offset, [entries])
        chunks.append(made)
    return pa.chunked_array(chunks, kind)


def _read(texts: Sequence[bytes], fields: Iterable[pa.Field]) -> pa.Table:
    """Reads lines of JSON; what is not in `fields` is left out."""
    parse = json_of_arrow.ParseOptions(
        explicit_schema=pa.schema(fields), unexpected_field_behavior="ignore"
    )
    # A line must not be longer than a block of the reader.
    read = json_of_arrow.ReadOptions(use_threads=False, block_size=max(1 << 20, 2 * max(map(len, texts))))
    return json_of_arrow.read_json(pa.BufferReader(b"\n".join(texts)), read, parse)


def _error_line(error: BraidError, name: str) -> bytes:
    return json.dumps({**error_row(error), "file": name}).encode()


class Lines:
    """Lines about blocks, and the table that they become.

    `verify` and `explain` are options of the functions with these names; with both, a row has the columns of both.
    Nothing of a line becomes a Python object: the native module writes JSON, and Arrow reads it.
    """

    def __init__(
        self, verify: Mapping[str, Any] | None = None, explain: Mapping[str, Any] | None = None
    ) -> None:
        self._verify, self._explain = verify, explain
        #: The name of each block, its line by `verify` and that by `explain`.
        self._lines: list[tuple[str, bytes, bytes]] = []

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, source: bytes | str, name: str, witness: bytes | None = None) -> None:
        """Adds the lines about a block; an error becomes a line, too."""
        try:
            explained = verified = b""
            if self._explain is not None:
                explained = lines.explain(source, name=name, **self._explain)
            if self._verify is not None:
                options = {"witness": witness, **self._verify}
                verified = lines.verify(source, name=name, pairs=True, **options)
        except BraidError as error:
            explained = verified = _error_line(error, name)
        self._lines.append((name, verified, explained))

    def table(self, schema: pa.Schema) -> pa.Table:
        """A row for each block, with these columns."""
        if not len(self):
            return schema.empty_table()

        def refused(of: tuple[str, bytes, bytes], error: BraidError) -> tuple[str, bytes, bytes]:
            line = _error_line(error, of[0])
            return of[0], line, line

        return _made(lambda of: self._table(of, schema), self._lines, refused)

    def _table(self, of: Sequence[tuple[str, bytes, bytes]], schema: pa.Schema) -> pa.Table:
        _, verified, explained = zip(*of, strict=True)
        columns: dict[str, pa.ChunkedArray] = {}
        if self._explain is not None:
            own = [it for it in EXPLAIN if it.name not in _COSTS.values()]
            read = _read(explained, [*own, pa.field("gas", _GAS)])
            columns |= {it.name: read[it.name] for it in own}
            columns |= {to: pc.struct_field(read["gas"], name) for name, to in _COSTS.items()}
        if self._verify is not None:
            read = _read(verified, map(_of_line, VERIFY))
            columns |= {it.name: _column(read[it.name], it.type) for it in VERIFY}
            differences = pc.binary_join(columns["differences"], "; ")
            found = pc.if_else(columns["ok"], pa.scalar(None, pa.string()), differences)
            columns["error"] = pc.coalesce(columns["error"], found)
        return pa.table([columns[name] for name in schema.names], schema=schema)


def _named(blocks: Iterable[BlockSource]) -> Iterator[tuple[bytes | str, str]]:
    for number, block in enumerate(blocks):
        source, name = resolve(block)
        yield source, f"{name}[{number}]" if name.startswith("<") else name


def verify(blocks: Iterable[BlockSource], **options: Any) -> pa.Table:
    """Verifies each block; `options` are those of `braid_evm.verify`."""
    made = Lines(verify=options)
    for source, name in _named(blocks):
        made.add(source, name)
    return made.table(VERIFY)


def execute(blocks: Iterable[BlockSource], **options: Any) -> pa.Table:
    """Executes each block; `options` are those of `braid_evm.execute`."""
    rows = []
    for source, name in _named(blocks):
        try:
            rows.append(_execute_row(braid_evm.execute(source, name=name, **options)))
        except BraidError as error:
            rows.append({**error_row(error), "file": name})
    return _made(
        lambda of: pa.Table.from_pylist(of, schema=EXECUTE),
        rows,
        lambda row, error: {**error_row(error), "file": row["file"]},
    )


def explain(blocks: Iterable[BlockSource], **options: Any) -> pa.Table:
    """Explains each block; `options` are those of `braid_evm.explain`."""
    made = Lines(explain=options)
    for source, name in _named(blocks):
        made.add(source, name)
    return made.table(EXPLAIN)
