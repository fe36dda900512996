"""Arrow tables of many blocks, a row each. Needs `pip install braid-evm[arrow]`.

A block that gives no result is a row, too: `error` says why, `error_kind` is the class of the exception.

>>> import braid_evm, braid_evm.arrow
>>> blocks = [braid_evm.generate("transfers", txs=2), b"no block"]
>>> table = braid_evm.arrow.verify(blocks)
>>> table["ok"].to_pylist(), table["error_kind"].to_pylist()
([True, False], [None, 'UnreadableBlock'])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa

import braid_evm

from .errors import BraidError, InvalidBlock
from .results import Execution, Explanation, Stretch, Verification
from .sources import BlockSource, resolve

_PATH = pa.list_(
    pa.struct(
        [
            ("first", pa.uint32()),
            ("end", pa.uint32()),
            ("strategy", pa.string()),
            ("reason", pa.string()),
            ("why", pa.string()),
        ]
    )
)
_BLOCK = [
    ("file", pa.string()),
    ("block", pa.uint64()),
    ("hash", pa.string()),
    ("txs", pa.uint32()),
    ("ok", pa.bool_()),
]
_ERROR = [
    ("error", pa.string()),
    ("error_kind", pa.string()),
    ("transaction", pa.uint32()),
]

#: Columns of `verify`.
VERIFY = pa.schema(
    [
        *_BLOCK,
        ("gas", pa.uint64()),
        ("checks", pa.map_(pa.string(), pa.bool_())),
        ("not_checkable", pa.map_(pa.string(), pa.string())),
        ("differences", pa.list_(pa.string())),
        ("workers", pa.uint16()),
        ("skipped", pa.uint32()),
        ("seq_ms", pa.float64()),
        ("par_ms", pa.float64()),
        ("speedup", pa.float64()),
        ("incarnations", pa.uint64()),
        ("discarded", pa.uint64()),
        ("speculative_share", pa.float64()),
        ("alone", pa.bool_()),
        ("path", _PATH),
        *_ERROR,
    ]
)

#: Columns of `execute`.
EXECUTE = pa.schema(
    [
        *_BLOCK,
        ("gas", pa.uint64()),
        ("blob_gas", pa.uint64()),
        ("chain_id", pa.uint64()),
        ("fork", pa.string()),
        ("tx_gas", pa.list_(pa.uint64())),
        ("tx_status", pa.list_(pa.string())),
        ("logs", pa.uint64()),
        ("changed_accounts", pa.uint64()),
        ("changed_slots", pa.uint64()),
        ("incarnations", pa.uint64()),
        ("discarded", pa.uint64()),
        ("path", _PATH),
        *_ERROR,
    ]
)

#: Columns of `explain`. Costs are gas.
EXPLAIN = pa.schema(
    [
        *_BLOCK[:2],
        *_BLOCK[3:],
        ("work", pa.uint64()),
        ("longest", pa.uint64()),
        ("chain", pa.uint64()),
        ("late_read", pa.uint64()),
        (
            "on_workers",
            pa.list_(
                pa.struct(
                    [
                        ("workers", pa.uint16()),
                        ("chain", pa.uint64()),
                        ("late_read", pa.uint64()),
                        ("no_conflicts", pa.uint64()),
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
                        ("serialises", pa.uint64()),
                        ("waits", pa.uint32()),
                    ]
                )
            ),
        ),
        ("other_conflicts", pa.uint32()),
        *_ERROR,
    ]
)

_Row = dict[str, Any]


def _fields(item: object, names: Iterable[str]) -> _Row:
    return {name: getattr(item, name) for name in names}


def _path(path: Iterable[Stretch]) -> list[_Row]:
    return [_fields(it, ("first", "end", "strategy", "reason", "why")) for it in path]


def verify_row(result: Verification) -> _Row:
    """The row of a block that was verified."""
    own = ("path", "checks", "not_checkable", "differences", *(name for name, _ in _ERROR))
    row = _fields(result, (name for name in VERIFY.names if name not in own))
    row["checks"] = sorted(result.checks.items())
    row["not_checkable"] = sorted(result.not_checkable.items())
    row["differences"] = list(result.differences)
    row["path"] = _path(result.path)
    return row


def execute_row(result: Execution) -> _Row:
    """The row of a block that was executed."""
    row = _fields(result, ("file", "block", "hash", "gas", "blob_gas", "chain_id", "fork"))
    row["txs"] = len(result.transactions)
    row["ok"] = True
    row["tx_gas"] = [it.gas for it in result.transactions]
    row["tx_status"] = [it.status for it in result.transactions]
    row["logs"] = sum(len(it.logs) for it in result.transactions)
    row["changed_accounts"] = len(result.changes)
    row["changed_slots"] = sum(len(it.storage) for it in result.changes)
    row["incarnations"] = result.stats.incarnations
    row["discarded"] = result.stats.discarded
    row["path"] = _path(result.path)
    return row


def explain_row(result: Explanation) -> _Row:
    """The row of a block that was explained."""
    row = _fields(result, ("file", "block", "txs", "ok", "other_conflicts", "error"))
    row |= _fields(result.gas, ("work", "longest", "chain", "late_read"))
    on = ("workers", "chain", "late_read", "no_conflicts")
    row["on_workers"] = [_fields(it, on) for it in result.gas.workers]
    place = ("account", "kind", "words", "serialises", "waits")
    row["conflicts"] = [
        {**_fields(it, place), "locations": list(it.locations)} for it in result.conflicts
    ]
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


def row(make: Callable[[], _Row], name: str) -> _Row:
    """What `make` returns, or the row of the error that it raises about the block `name`."""
    try:
        return make()
    except BraidError as error:
        return {**error_row(error), "file": name}


def _table(
    blocks: Iterable[BlockSource], schema: pa.Schema, make: Callable[[bytes | str, str], _Row]
) -> pa.Table:
    rows = []
    for number, block in enumerate(blocks):
        source, name = resolve(block)
        name = f"{name}[{number}]" if name.startswith("<") else name
        rows.append(row(lambda source=source, name=name: make(source, name), name))  # type: ignore[misc]
    return pa.Table.from_pylist(rows, schema=schema)


def verify(blocks: Iterable[BlockSource], **options: Any) -> pa.Table:
    """Verifies each block; `options` are those of `braid_evm.verify`."""
    return _table(
        blocks,
        VERIFY,
        lambda source, name: verify_row(braid_evm.verify(source, name=name, **options)),
    )


def execute(blocks: Iterable[BlockSource], **options: Any) -> pa.Table:
    """Executes each block; `options` are those of `braid_evm.execute`."""
    return _table(
        blocks,
        EXECUTE,
        lambda source, name: execute_row(braid_evm.execute(source, name=name, **options)),
    )


def explain(blocks: Iterable[BlockSource], **options: Any) -> pa.Table:
    """Explains each block; `options` are those of `braid_evm.explain`."""
    return _table(
        blocks,
        EXPLAIN,
        lambda source, name: explain_row(braid_evm.explain(source, name=name, **options)),
    )
