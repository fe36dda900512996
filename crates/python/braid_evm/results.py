"""What the functions of the package return: plain objects that do not change.

Amounts in wei and storage values are `int`, addresses and hashes are `str` in hex, code and data are `bytes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_Json = Mapping[str, Any]


def _number(text: str) -> int:
    return int(text, 16)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


@dataclass(frozen=True, slots=True)
class Segment:
    """Transactions that ran in one way: from `first` up to, without, `end`."""

    first: int
    end: int
    #: How they ran, such as `Speculative` or `Sequential`.
    strategy: str
    reason: str
    #: Both in words.
    why: str


def _segments(line: _Json) -> tuple[Segment, ...]:
    return tuple(Segment(**segment) for segment in line.get("segments", ()))


@dataclass(frozen=True, slots=True)
class Log:
    """An event that a contract logged."""

    address: str
    topics: tuple[str, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """What became of a transaction."""

    index: int
    hash: str
    #: `success`, `revert`, `halt` or, in mode `build`, `skipped`.
    status: str
    reason: str | None
    gas: int
    #: Gas of the block up to and including this transaction, as its receipt has it.
    cumulative_gas: int
    output: bytes
    #: Address of the contract that it created.
    created: str | None
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """An account at one time."""

    balance: int
    nonce: int
    code_hash: str


@dataclass(frozen=True, slots=True)
class AccountChange:
    """An account that the block changed; `None` where there is no account."""

    address: str
    before: Account | None
    after: Account | None
    #: Slots that changed: value before and after.
    storage: Mapping[int, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Stats:
    """How the block was executed. No result depends on it."""

    workers: int
    #: Whether everything ran sequentially on the calling thread.
    sequential: bool
    #: Runs of transactions.
    incarnations: int
    #: Number of aborted runs.
    aborts: int
    #: Runs that had to wait for a lower transaction.
    estimate_reads: int
    #: Transactions whose committed result comes from a run ahead of their turn.
    speculative_commits: int


@dataclass(frozen=True, slots=True)
class Execution:
    """What executing a block gives."""

    file: str
    block: int
    hash: str
    chain_id: int
    fork: str
    gas: int
    blob_gas: int
    transactions: tuple[Transaction, ...]
    #: Requests to the consensus layer (EIP-7685).
    requests: tuple[bytes, ...]
    changes: tuple[AccountChange, ...]
    segments: tuple[Segment, ...]
    stats: Stats


def execution(line: _Json) -> Execution:
    """An execution out of the native module's JSON."""
    return Execution(
        file=line["file"],
        block=line["block"],
        hash=line["hash"],
        chain_id=line["chain_id"],
        fork=line["fork"],
        gas=line["gas"],
        blob_gas=line["blob_gas"],
        transactions=tuple(_transaction(it) for it in line["transactions"]),
        requests=tuple(_bytes(request) for request in line["requests"]),
        changes=tuple(_change(it) for it in line["changes"]),
        segments=_segments(line),
        stats=Stats(**line["stats"]),
    )


def _transaction(line: _Json) -> Transaction:
    logs = tuple(
        Log(log["address"], tuple(log["topics"]), _bytes(log["data"])) for log in line["logs"]
    )
    return Transaction(**{**line, "output": _bytes(line["output"]), "logs": logs})


def _change(line: _Json) -> AccountChange:
    def account(it: _Json | None) -> Account | None:
        if it is None:
            return None
        return Account(_number(it["balance"]), it["nonce"], it["code_hash"])

    storage = {
        _number(slot): (_number(before), _number(after))
        for slot, (before, after) in line["storage"].items()
    }
    return AccountChange(line["address"], account(line["before"]), account(line["after"]), storage)


@dataclass(frozen=True, slots=True)
class Verification:
    """A block that was executed both ways, in parallel and in sequence.

    The fields are those of `braid run --json`. Times are `None` if no rounds were asked for.
    """

    file: str
    block: int
    hash: str
    txs: int
    #: Whether everything agrees: both results with each other and with the header.
    ok: bool
    #: Name of each check against the header, and whether it came out right.
    checks: Mapping[str, bool]
    #: Name of each check that could not be made, and why.
    not_checkable: Mapping[str, str]
    segments: tuple[Segment, ...]
    #: What differs, in words.
    differences: tuple[str, ...]
    workers: int
    #: `None`, as all that follows, if sequential execution rejects the block and the parallel one does not.
    gas: int | None = None
    skipped: int | None = None
    seq_ms: float | None = None
    seq_cpu_ms: float | None = None
    par_ms: float | None = None
    par_cpu_ms: float | None = None
    #: Sequential over parallel time on the clock.
    speedup: float | None = None
    cpu_ratio: float | None = None
    incarnations: int | None = None
    aborts: int | None = None
    speculative_share: float | None = None
    sequential: bool | None = None


_SETTING = ("mode", "policy", "rounds", "access_lists", "access_list_hint", "profile")


def verification(line: _Json) -> Verification:
    """A verification out of the native module's JSON."""
    fields = {name: value for name, value in line.items() if name not in _SETTING}
    fields["segments"] = _segments(line)
    fields["differences"] = tuple(line.get("differences", ()))
    fields.setdefault("not_checkable", {})
    return Verification(**fields)


@dataclass(frozen=True, slots=True)
class OnWorkers:
    """Cost from start to end on a number of workers."""

    workers: int
    #: If transactions that conflict run one after the other.
    chain: int
    #: If each waits only at its first read of what an earlier one writes.
    late_read: int
    no_conflicts: int


@dataclass(frozen=True, slots=True)
class PathStep:
    """A transaction on the conflict chain."""

    transaction: int
    cost: int
    #: Locations at which it waits.
    waited_for: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What limits the speed of a block, in gas or in nanoseconds."""

    #: Cost of all transactions.
    work: int
    #: Cost of the most expensive one.
    longest: int
    #: The longest chain of transactions that need each other.
    chain: int
    late_read: int
    workers: tuple[OnWorkers, ...]
    conflict_chain: tuple[PathStep, ...]


@dataclass(frozen=True, slots=True)
class Gain:
    """Costs that are left after a change."""

    chain: int
    on_workers: int


@dataclass(frozen=True, slots=True)
class Function:
    """A function that waiting transactions call."""

    selector: str
    signature: str | None
    transactions: int


@dataclass(frozen=True, slots=True)
class Callee:
    """A contract that waiting transactions call; `address` is `None` for a new one."""

    address: str | None
    transactions: int


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of source that accesses a location."""

    file: str
    line: int
    column: int
    stores: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """A location at which transactions wait. Costs are in the unit `by` of the explanation."""

    account: str
    locations: tuple[str, ...]
    kind: str
    words: str
    chain_cost: int
    waits: int
    own_chain: int
    transactions: tuple[int, ...]
    functions: tuple[Function, ...]
    callees: tuple[Callee, ...]
    without: Gain
    without_those_above: Gain
    sharded: Gain | None
    lines: tuple[SourceLine, ...]
    #: How conflicts at a location of this kind might be removed.
    advice: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The bounds after the changes that were asked for."""

    without: tuple[str, ...]
    sharded: tuple[str, ...]
    #: Changes that concern nothing in the block.
    untouched: tuple[str, ...]
    gas: Bounds
    time_ns: Bounds | None


@dataclass(frozen=True, slots=True)
class Measured:
    """What Braid reaches here."""

    workers: int
    speedup: float
    seq_ms: float
    par_ms: float
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a block does not run in parallel. The fields are those of `braid explain --json`: docs/EXPLAIN.md."""

    file: str
    block: int
    ok: bool
    error: str | None
    txs: int
    #: Number of workers that gains are given for.
    workers: int
    #: Unit of the costs of conflicts: `gas` or `time_ns`.
    by: str
    gas: Bounds
    time_ns: Bounds | None
    conflicts: tuple[Conflict, ...]
    other_conflicts: int
    reads_fees: tuple[int, ...]
    what_if: WhatIf | None
    measured: Measured | None


def _bounds(line: _Json) -> Bounds:
    steps = (
        PathStep(step["transaction"], step["cost"], tuple(step["waited_for"]))
        for step in line["conflict_chain"]
    )
    workers = tuple(OnWorkers(**on) for on in line["workers"])
    return Bounds(**{**line, "workers": workers, "conflict_chain": tuple(steps)})


def _maybe_bounds(line: _Json | None) -> Bounds | None:
    return None if line is None else _bounds(line)


def _conflict(line: _Json) -> Conflict:
    made = {
        "locations": tuple(line["locations"]),
        "transactions": tuple(line["transactions"]),
        "functions": tuple(Function(**it) for it in line["functions"]),
        "callees": tuple(Callee(**it) for it in line["callees"]),
        "without": Gain(**line["without"]),
        "without_those_above": Gain(**line["without_those_above"]),
        "sharded": None if line["sharded"] is None else Gain(**line["sharded"]),
        "lines": tuple(SourceLine(**it) for it in line["lines"]),
    }
    return Conflict(**{**line, **made})


def explanation(line: _Json) -> Explanation:
    """An explanation out of the native module's JSON."""
    changed, measured = line.get("what_if"), line["measured"]
    what_if = changed and WhatIf(
        without=tuple(changed["without"]),
        sharded=tuple(changed["sharded"]),
        untouched=tuple(changed["untouched"]),
        gas=_bounds(changed["gas"]),
        time_ns=_maybe_bounds(changed["time_ns"]),
    )
    made = {
        "error": line.get("error"),
        "gas": _bounds(line["gas"]),
        "time_ns": _maybe_bounds(line["time_ns"]),
        "conflicts": tuple(_conflict(it) for it in line["conflicts"]),
        "reads_fees": tuple(line["reads_fees"]),
        "what_if": what_if,
        "measured": measured and Measured(**{**measured, "segments": _segments(measured)}),
    }
    return Explanation(**{**line, **made})


@dataclass(frozen=True, slots=True)
class AccountAccess:
    """What a block does with an account.

    Each change has the block access index after which its value holds: 0 for what precedes the transactions, the
    transaction's place from 1 on, and one more for what follows them.
    """

    address: str
    storage: Mapping[int, tuple[tuple[int, int], ...]]
    #: Slots that are read and not changed.
    reads: tuple[int, ...]
    balances: tuple[tuple[int, int], ...]
    nonces: tuple[tuple[int, int], ...]
    codes: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class AccessList:
    """The access list of a block (EIP-7928)."""

    file: str
    block: int
    hash: str
    #: The list as it is hashed, and as `braid run --bal` reads it.
    rlp: bytes
    accounts: tuple[AccountAccess, ...]


def access_list(line: _Json) -> AccessList:
    """An access list out of the native module's JSON."""
    accounts = tuple(
        AccountAccess(
            address=it["address"],
            storage={
                _number(slot): tuple((index, _number(value)) for index, value in changes)
                for slot, changes in it["storage"]
            },
            reads=tuple(_number(slot) for slot in it["reads"]),
            balances=tuple((index, _number(value)) for index, value in it["balances"]),
            nonces=tuple((index, nonce) for index, nonce in it["nonces"]),
            codes=tuple((index, _bytes(code)) for index, code in it["codes"]),
        )
        for it in line["accounts"]
    )
    rlp = _bytes(line["rlp"])
    return AccessList(line["file"], line["block"], line["hash"], rlp, accounts)
