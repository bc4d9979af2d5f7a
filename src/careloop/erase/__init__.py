"""Erasing a customer: the personal data goes, the figures stay."""

from careloop.erase.run import Erased, erase

__all__ = ["Erased", "erase"]
