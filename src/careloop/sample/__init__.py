"""A believable company's CRM, made up: the exports of a web shop and of its stores.

``make_sample`` writes them, ``make_delta`` adds what happened on the next days.
"""

from careloop.sample.delta import make_delta
from careloop.sample.engine import ZONE
from careloop.sample.files import FileRows
from careloop.sample.make import make_sample

__all__ = ["ZONE", "FileRows", "make_delta", "make_sample"]
