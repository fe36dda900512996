"""Executes Ethereum blocks on many cores and returns exactly what sequential execution returns.

Every function takes a block file: its bytes (plain, gzip or zstd), a path, or its JSON as a mapping.

>>> import braid_evm
>>> block = braid_evm.generate("transfers", txs=3)
>>> done = braid_evm.execute(block)
>>> done.gas, [transaction.status for transaction in done.transactions]
(63000, ['success', 'success', 'success'])
>>> braid_evm.verify(block).ok
True

The interpreter's lock is released while a block executes, so that other Python threads run. Calls with the same
`workers`, `policy` and `mode` use the same worker threads and take turns.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Literal

from . import _native, lines, results
from .errors import BraidError, InvalidBlock, StateUnavailable, UnreadableBlock
from .lines import Mode, Policy
from .results import AccessList, Execution, Explanation, Verification
from .sources import BlockSource, resolve

__all__ = [
    "AccessList",
    "BlockSource",
    "BraidError",
    "Execution",
    "Explanation",
    "InvalidBlock",
    "StateUnavailable",
    "UnreadableBlock",
    "Verification",
    "access_list",
    "execute",
    "explain",
    "generate",
    "generate_file",
    "verify",
]

Workload = Literal[
    "transfers", "erc20", "dex", "range", "mint-serial", "mint-counter", "mint-parallel"
]

def execute(
    block: BlockSource,
    *,
    workers: int | None = None,
    mode: Mode = "validate",
    policy: Policy = "auto",
    name: str | None = None,
) -> Execution:
    """Executes a block and returns what it leaves.

    `workers`: threads that execute transactions; as many as cores by default. `mode`: in `validate` an invalid
    transaction raises `InvalidBlock`, in `build` it is skipped. `policy` changes speed, never a result. `name`: what
    messages call the block.

    >>> done = execute(generate("transfers", txs=2))
    >>> done.transactions[1].cumulative_gas
    42000
    >>> all(change.after for change in done.changes)
    True
    """
    source, name = resolve(block, name)
    return results.execution(json.loads(lines.engine(workers, mode, policy).execute(source, name)))


def verify(
    block: BlockSource,
    *,
    rounds: int = 0,
    pause: float = 0.0,
    check_signatures: bool = False,
    witness: BlockSource | None = None,
    workers: int | None = None,
    mode: Mode = "validate",
    policy: Policy = "auto",
    name: str | None = None,
) -> Verification:
    """Executes a block in parallel and with plain sequential revm, and compares everything, as `braid run` does.

    Also compares with the block's header, and with its state root where there is a state witness: `witness`, or the one
    beside the block where that is a path.
    `rounds`: how often to run both ways for the clock; every result is compared. `pause`: seconds before each of these
    runs. Raises `InvalidBlock` if both executions reject the block; what differs is in the result.

    >>> verify(generate("erc20", txs=20)).checks["receiptsRoot"]
    True
    >>> verify(generate("dex", txs=20), rounds=1).speedup > 0
    True
    """
    line = lines.verify(
        block,
        rounds=rounds,
        pause=pause,
        check_signatures=check_signatures,
        witness=witness,
        workers=workers,
        mode=mode,
        policy=policy,
        name=name,
    )
    return results.verification(json.loads(line))


def explain(
    block: BlockSource,
    *,
    for_workers: int = 16,
    top: int = 5,
    rounds: int = 0,
    by: Literal["gas", "time"] = "gas",
    without: Iterable[str] = (),
    sharded: Iterable[str] = (),
    pause: float = 0.0,
    workers: int | None = None,
    name: str | None = None,
) -> Explanation:
    """Says why a block does not run in parallel, as `braid explain` does.

    `for_workers`: workers for which gains are given, 1 to 64. `top`: number of locations that are listed. `rounds`: runs
    for the clock; without any, all costs are gas and the same everywhere. `without`, `sharded`: changes to compare
    with, as `ADDRESS`, `ADDRESS:SLOT` or `ADDRESS.balance`.

    >>> hot = explain(generate("dex", txs=50, hot=100))
    >>> hot.gas.chain == hot.gas.work  # one pool: every swap waits for the one before it
    True
    >>> hot.conflicts[0].waits
    49
    """
    line = lines.explain(
        block,
        for_workers=for_workers,
        top=top,
        rounds=rounds,
        by=by,
        without=without,
        sharded=sharded,
        pause=pause,
        workers=workers,
        name=name,
    )
    return results.explanation(json.loads(line))


def access_list(
    block: BlockSource, *, workers: int | None = None, name: str | None = None
) -> AccessList:
    """Executes a block and returns its access list (EIP-7928).

    >>> made = access_list(generate("transfers", txs=2))
    >>> sum(len(account.balances) for account in made.accounts) >= 4
    True
    """
    source, name = resolve(block, name)
    return results.access_list(json.loads(lines.engine(workers, lists=True).access_list(source, name)))


def generate(
    workload: Workload, *, txs: int = 1000, hot: int = 0, seed: int = 1, signatures: bool = True
) -> bytes:
    """Generates a block file, as `braid gen` does, and returns its JSON. The same arguments give the same bytes.

    `hot`: percent of the transactions that go to one recipient or pool. `signatures`: without them generating is much
    faster, but `verify(..., check_signatures=True)` refuses the block.

    >>> generate("transfers", txs=1) == generate("transfers", txs=1)
    True
    """
    return _native.generate(workload, txs, hot, seed, signatures)


def generate_file(
    path: str | os.PathLike[str],
    workload: Workload,
    *,
    txs: int = 1000,
    hot: int = 0,
    seed: int = 1,
    signatures: bool = True,
) -> int:
    """Generates a block into a file, packed as its name says (.json, .json.gz, .json.zst); returns the block's gas."""
    return _native.generate_file(path, workload, txs, hot, seed, signatures)
