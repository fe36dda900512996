"""Executors that are kept, and what they write about a block: a line of JSON."""

from __future__ import annotations

import os
from collections.abc import Iterable
from threading import Lock
from typing import Literal

from . import _native
from .sources import BlockSource, resolve, witness_bytes

Mode = Literal["validate", "build"]
Policy = Literal["auto", "speculative", "contiguous-batches", "sequential"]

#: Executors that are kept; each has threads.
_KEPT = 4
_engines: dict[tuple[int, int | None, str, str, bool], _native.Engine] = {}
_lock = Lock()


def engine(
    workers: int | None, mode: str = "validate", policy: str = "auto", lists: bool = False
) -> _native.Engine:
    """The executor of this process for these settings."""
    # A process that was forked has none of its parent's threads.
    key = (os.getpid(), workers, mode, policy, lists)
    with _lock:
        found = _engines.pop(key, None)
        if found is None:
            while len(_engines) >= _KEPT:
                del _engines[next(iter(_engines))]
            found = _native.Engine(workers, mode, policy, lists)
        # The one that was used last goes last.
        _engines[key] = found
        return found


def _after_fork() -> None:
    global _lock
    # Another thread of the parent may have held it.
    _lock = Lock()


os.register_at_fork(after_in_child=_after_fork)


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
    pairs: bool = False,
) -> bytes:
    """The line that `braid_evm.verify` makes its result of. `pairs`: a map is written as a list of keys and values."""
    source, name = resolve(block, name)
    asked = (rounds, pause, check_signatures, pairs)
    return engine(workers, mode, policy).verify(source, name, asked, witness_bytes(witness))


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
) -> bytes:
    """The line that `braid_evm.explain` makes its result of."""
    source, name = resolve(block, name)
    asked = (for_workers, top, rounds, by, list(without), list(sharded), pause)
    return engine(workers).explain(source, name, asked)
