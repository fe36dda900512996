"""Exceptions: a base class, and one for each kind of input that gives no result."""

from __future__ import annotations


class BraidError(Exception):
    """No result.

    Raised itself only where Braid or the system is at fault; a wrong argument is a `ValueError`, a `TypeError` or an
    `OverflowError`.
    """

    #: Name of the block file, as the caller gave it.
    file: str
    #: What is wrong, without the name of the file.
    reason: str
    #: Index of the transaction that is wrong, if the error belongs to one.
    transaction: int | None

    def __init__(self, reason: str, file: str = "", *more: object) -> None:
        # What `pickle` calls the class with again.
        super().__init__(reason, file, *more)
        self.reason = reason
        self.file = file
        self.transaction = None

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}" if self.file else self.reason


class UnreadableBlock(BraidError):
    """The input cannot be read as a block file, or a field of it has a value that no execution can use."""

    #: Path of that field inside the file, such as `block.transactions[3].nonce`.
    field: str | None

    def __init__(
        self,
        reason: str,
        file: str = "",
        field: str | None = None,
        transaction: int | None = None,
    ) -> None:
        super().__init__(reason, file, field, transaction)
        self.field = field
        self.transaction = transaction


class InvalidBlock(BraidError):
    """The block breaks a rule of its fork; `transaction` is the index of the first transaction that does."""

    #: Number of the block.
    block: int
    #: Number of its transactions.
    txs: int

    def __init__(
        self,
        reason: str,
        file: str = "",
        transaction: int | None = None,
        block: int = 0,
        txs: int = 0,
    ) -> None:
        super().__init__(reason, file, transaction, block, txs)
        self.transaction = transaction
        self.block = block
        self.txs = txs


class StateUnavailable(BraidError):
    """The block reads the hash of an earlier block that its file lacks, or a code that the file declares absent."""

    def __init__(self, reason: str, file: str = "", transaction: int | None = None) -> None:
        super().__init__(reason, file, transaction)
        self.transaction = transaction
