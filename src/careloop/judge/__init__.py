"""Judging a period: the review with what a calibration proposes, its files, and its alerts."""

from careloop.judge.run import (
    Calibrated,
    Judged,
    Marts,
    NotOverError,
    alert,
    calibrated,
    judge,
    marts_for,
    missed_kpis,
    page,
    print_page,
    wait_for_marts,
    workbook,
)

__all__ = [
    "Calibrated",
    "Judged",
    "Marts",
    "NotOverError",
    "alert",
    "calibrated",
    "judge",
    "marts_for",
    "missed_kpis",
    "page",
    "print_page",
    "wait_for_marts",
    "workbook",
]
