"""Runs transitions with the executable specification, one after the other in one process.

Each line of standard input is an object {fork, reward, input}; each line of standard output is
what `ethereum-spec-evm t8n` prints for it, with everything on its standard streams.
"""

import io
import json
import logging
import sys

from ethereum_spec_tools.evm_tools import ForkCache, main

logging.disable(logging.CRITICAL)

with ForkCache() as cache:
    for line in sys.stdin:
        request = json.loads(line)
        args = [
            "t8n",
            "--input.alloc=stdin",
            "--input.env=stdin",
            "--input.txs=stdin",
            "--output.alloc=stdout",
            "--output.result=stdout",
            "--output.body=stdout",
            f"--state.fork={request['fork']}",
            "--state.chainid=1",
            f"--state.reward={request['reward']}",
        ]
        out = io.StringIO()
        try:
            code = main(args, out, io.StringIO(json.dumps(request["input"])), cache)
            answer = json.loads(out.getvalue()) if code == 0 else {"failed": code}
        except Exception as error:  # The specification stops at input that no block could have.
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
