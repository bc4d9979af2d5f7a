"""careloop turns CRM data into care."""

from importlib.metadata import version

__version__ = version("careloop")
