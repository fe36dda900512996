"""Which block is in which partition: even by estimated gas, and the same after a restart."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

#: Gas that a block counts as, beside its own: reading it costs something, too.
OVERHEAD = 1_000_000


@dataclass(frozen=True)
class Weighed:
    """A block and the gas that it is estimated to use."""

    name: str
    gas: int


def salt(name: str) -> bytes:
    """Orders blocks of equal gas at random, the same way each time.

    Blocks that follow each other in a chain cost alike for reasons that their gas does not tell; they should not meet in
    one partition.
    """
    return hashlib.sha256(name.encode()).digest()


def pack(blocks: Iterable[Weighed], partitions: int) -> list[list[str]]:
    """Shares blocks out: the most expensive first, each to the partition that has least."""
    order = sorted(blocks, key=lambda it: (-it.gas, salt(it.name)))
    shares: list[list[str]] = [[] for _ in range(min(partitions, len(order)))]
    least = [(0, index) for index in range(len(shares))]
    for block in order:
        gas, index = heapq.heappop(least)
        shares[index].append(block.name)
        heapq.heappush(least, (gas + block.gas + OVERHEAD, index))
    return shares


@dataclass(frozen=True)
class Plan:
    """What a job does, for a restart: its question and its partitions."""

    question: dict[str, Any]
    partitions: Sequence[Sequence[str]]

    def text(self) -> str:
        """The plan as JSON."""
        return json.dumps({"question": self.question, "partitions": self.partitions})

    @classmethod
    def parse(cls, text: str) -> Plan:
        """The plan that an earlier run has written."""
        stored = json.loads(text)
        return cls(stored["question"], stored["partitions"])


def keys(hashes: Sequence[int], partitions: int) -> list[int]:
    """For each partition a number that Spark's hash sends there.

    `hashes[number]` is the hash of `number` modulo `partitions`. Spark sends rows to partitions by the hash of a column:
    with the numbers of the partitions themselves some partitions would get two shares and some none.
    """
    found: dict[int, int] = {}
    for number, partition in enumerate(hashes):
        found.setdefault(partition, number)
    if len(found) < partitions:
        raise ValueError("too few numbers were tried")
    return [found[partition] for partition in range(partitions)]
