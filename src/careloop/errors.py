"""Errors a person can act on: each says what is wrong, where, and what to do next."""


class CareloopError(Exception):
    """Base of every expected failure. The command line prints it without a traceback.

    what: one sentence naming the file, row, setting or table; hint: the next step.
    """

    exit_code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what if not hint else f"{what}\n  → {hint}")
        self.what = what
        self.hint = hint


class SettingsError(CareloopError):
    """A setting is missing or wrong."""

    exit_code = 2


class SourceError(CareloopError):
    """A source, its mapping, or one of its files can't be read."""

    exit_code = 3


class UnreachableError(SourceError):
    """A database doesn't answer; trying again later may help."""


class ProgramError(CareloopError):
    """A program pack is wrong: path, value and what is allowed are named."""

    exit_code = 4


class GateError(CareloopError):
    """A quality gate stopped the run."""

    exit_code = 5


class TransformError(CareloopError):
    """A dbt model or test failed."""

    exit_code = 6


class BusyError(CareloopError):
    """Another run holds the home directory."""

    exit_code = 7
