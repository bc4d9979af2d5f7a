"""Ending a process without the database library's notes on its own teardown."""

import atexit
import os
import sys


class QuietExit:
    """Registered first, so that it runs last: every other exit handler has done its work.

    DuckDB's binding prints pages of leak notes while the interpreter is torn down.
    """

    def __init__(self) -> None:
        self.code = 1
        atexit.register(self._leave)

    def _leave(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.code)
