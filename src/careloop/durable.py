"""Making what was written survive a power cut."""

import os
import uuid
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move(made: Path, path: Path) -> None:
    """Move a finished file to its place in the same file system, over an earlier one."""
    sync(made)
    os.replace(made, path)
    sync(path.parent)


def put(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file whole or not at all. mode: of the file, less the umask."""
    half = path.with_name(f".{uuid.uuid4().hex}")
    try:
        with open(half, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(content)
        move(half, path)
    finally:
        half.unlink(missing_ok=True)
