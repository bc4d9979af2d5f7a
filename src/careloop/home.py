"""The home directory is worked on by one run at a time; so is each room apart in it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from careloop.errors import BusyError
from careloop.settings import Settings


@contextmanager
def hold(settings: Settings) -> Iterator[None]:
    """Hold the home directory, or the room apart; raises BusyError when another process does.

    The operating system frees the lock when the process ends, however it ends.
    """
    path = settings.lock
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise BusyError(
                f"another run (process {holder}) is using {path.parent}",
                "wait until it has finished; nothing was changed",
            ) from error
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
