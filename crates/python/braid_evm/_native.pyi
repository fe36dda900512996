"""The native module. Functions return JSON as bytes; `braid_evm` makes typed objects of it."""

from os import PathLike
from typing import final

_Input = bytes | str | PathLike[str]

@final
class Engine:
    def __new__(cls, workers: int | None, mode: str, policy: str, lists: bool) -> Engine: ...
    @property
    def workers(self) -> int: ...
    def execute(self, input: _Input, name: str) -> bytes: ...
    def verify(
        self,
        input: _Input,
        name: str,
        asked: tuple[int, float, bool, bool],
        witness: bytes | None,
    ) -> bytes: ...
    def explain(
        self,
        input: _Input,
        name: str,
        asked: tuple[int, int, int, str, list[str], list[str], float],
    ) -> bytes: ...
    def access_list(self, input: _Input, name: str) -> bytes: ...

def generate(workload: str, txs: int, hot: int, seed: int, signed: bool) -> bytes: ...
def generate_file(
    path: str | PathLike[str], workload: str, txs: int, hot: int, seed: int, signed: bool
) -> int: ...
def gas_estimate(input: _Input) -> int | None: ...
def tool(arguments: list[str]) -> int: ...
