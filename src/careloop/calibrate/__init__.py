"""Calibration: what a quarter says about the numbers of the pack. Proposes, never changes."""
