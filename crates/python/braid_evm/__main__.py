"""`python -m braid_evm`: the tool `braid`, from the native module."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterable

from . import _native


def main(arguments: Iterable[str] | None = None) -> int:
    """Runs the tool with `arguments`, or those of the process, and returns the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    sys.stdout.flush()
    # Python hears of Ctrl-C only when the native code ends: meanwhile it ends the process, as it ends the tool.
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_DFL) if is_main else None
    try:
        return _native.tool(["python -m braid_evm", *given])
    finally:
        if is_main:
            signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    sys.exit(main())
