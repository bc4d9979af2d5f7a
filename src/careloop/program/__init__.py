"""Program packs: everything about a care program that is a decision, not code."""

from careloop.program.load import load_program
from careloop.program.model import Program
from careloop.program.tables import write_program_tables

__all__ = ["Program", "load_program", "write_program_tables"]
