"""Block files, as callers name them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import UnreadableBlock

#: A block file: its bytes (plain, gzip or zstd), a path, or its JSON as a mapping.
BlockSource = bytes | bytearray | memoryview | str | os.PathLike[str] | Mapping[str, Any]

_ENDS = (".json", ".json.gz", ".json.zst")


def resolve(source: BlockSource, name: str | None = None) -> tuple[bytes | str, str]:
    """What the native module takes, and the name that messages use."""
    if isinstance(source, bytes):
        return source, name or "<bytes>"
    if isinstance(source, bytearray | memoryview):
        return bytes(source), name or "<bytes>"
    if isinstance(source, Mapping):
        return json.dumps(source, default=_object).encode(), name or "<dict>"
    path = os.fspath(source)
    if not isinstance(path, str):
        raise TypeError("expected a path of type str, found one of bytes")
    return path, name or printable(path)


def _object(value: object) -> dict[Any, Any]:
    """What JSON has for a mapping that is no dict."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"expected a value that JSON has, found one of type {type(value).__name__}")


def printable(path: str) -> str:
    """The path as text. A byte of a file's name that is not UTF-8 becomes the character U+FFFD."""
    return os.fsencode(path).decode(errors="replace")


def witness_bytes(source: BlockSource | None) -> bytes | None:
    """The bytes of a state witness, which may be a path."""
    if source is None:
        return None
    given, name = resolve(source)
    if isinstance(given, bytes):
        return given
    try:
        return Path(given).read_bytes()
    except (OSError, ValueError) as error:
        raise UnreadableBlock(f"expected a state witness that can be read: {error}", name) from error


def is_block_file(name: str) -> bool:
    """Whether a file of this name in a folder is a block file, not a state witness."""
    stem = next((name.removesuffix(end) for end in reversed(_ENDS) if name.endswith(end)), "")
    return bool(stem) and not stem.endswith(".witness")


def expand(paths: Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    """Files as they are, folders as the block files in them, by name.

    A folder without block files stays as it is: reading it fails and says so.
    """
    for path in map(Path, paths):
        if not path.is_dir():
            yield str(path)
            continue
        names = sorted(it.name for it in path.iterdir() if is_block_file(it.name) and not it.is_dir())
        yield from (str(path / name) for name in names) if names else [str(path)]
