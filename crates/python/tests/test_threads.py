"""Other Python threads run while a block executes."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import braid_evm
from braid_evm import _native

#: Turns that a thread takes; each gives the interpreter's lock up and needs it again.
TURNS = 20


def other_thread_runs_during(call: Callable[[], object]) -> bool:
    """Whether another thread takes its turns between the start of `call` and its end."""
    begun, ended = threading.Event(), []

    def other() -> None:
        begun.wait()
        for _ in range(TURNS):
            time.sleep(0.001)
        ended.append(time.perf_counter())

    thread = threading.Thread(target=other)
    thread.start()
    begun.set()
    call()
    end = time.perf_counter()
    thread.join()
    return ended[0] < end


def test_the_lock_is_released_while_a_block_executes() -> None:
    plain = braid_evm.generate("dex", txs=1000, signatures=False)
    # The native call alone: what Python does before and after it releases the lock now and then.
    engine = _native.Engine(2, "validate", "auto", False)
    assert other_thread_runs_during(lambda: engine.verify(plain, "it", (5, 0.0, False, False), None))
    assert other_thread_runs_during(lambda: _native.generate("dex", 1000, 0, 1, True))


def test_a_call_that_holds_the_lock_is_noticed() -> None:
    holding = ctypes.PyDLL(None)
    assert not other_thread_runs_during(lambda: holding.usleep(300_000))
    releasing = ctypes.CDLL(None)
    assert other_thread_runs_during(lambda: releasing.usleep(300_000))


def test_threads_share_an_executor() -> None:
    blocks = [braid_evm.generate("erc20", txs=50, seed=seed, signatures=False) for seed in range(8)]
    wanted = [braid_evm.execute(block, workers=1).changes for block in blocks]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda block: braid_evm.execute(block, workers=2).changes, blocks)
        assert list(found) == wanted
