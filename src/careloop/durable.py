"""Making what was written survive a power cut."""

import os
import shutil
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


def move_folder(made: Path, folder: Path) -> None:
    """Move a finished folder to its place, over an earlier one. What was there before is set
    aside until the new one is in its place: after a kill in between, ``restore`` has it back."""
    for path in (*made.rglob("*"), made):
        sync(path)
    restore(folder)
    if folder.exists():
        os.replace(folder, _aside(folder))
    os.replace(made, folder)
    sync(folder.parent)
    shutil.rmtree(_aside(folder), ignore_errors=True)


def restore(folder: Path) -> None:
    """Undo a ``move_folder`` that was killed half way, or clear up after one."""
    aside = _aside(folder)
    if folder.exists():
        shutil.rmtree(aside, ignore_errors=True)
    elif aside.exists():
        os.replace(aside, folder)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")
