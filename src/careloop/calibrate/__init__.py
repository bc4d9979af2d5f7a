"""Calibration: what a quarter's data says about the numbers of the pack. Proposes, never changes."""
