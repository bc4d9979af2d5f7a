"""Calibration: what a quarter says about the numbers of the pack. Proposes, never changes."""

from careloop.calibrate.model import Calibration, Finding, Judged, Proposal, Words
from careloop.calibrate.run import calibrate, folder_of

__all__ = ["Calibration", "Finding", "Judged", "Proposal", "Words", "calibrate", "folder_of"]
