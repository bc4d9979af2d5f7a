"""Logistic regression with a ridge penalty, by Newton's method.

SOURCES. le Cessie & van Houwelingen (1992), "Ridge Estimators in Logistic Regression", Applied
Statistics 41(1), 191-201. Hastie, Tibshirani & Friedman (2009), "The Elements of Statistical
Learning", 4.4.1: iteratively reweighted least squares.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
# Of the features divided by their standard deviation: a prior of one for each weight.
PENALTY = 1.0
STEPS = 50
# The last bits of a matrix product depend on the machine; what is published must not.
DIGITS = 8


@dataclass(frozen=True)
class Logistic:
    """Chance = 1 / (1 + exp(-(intercept + weights x features))); ``means`` are those of the
    customers fitted on."""

    intercept: float
    weights: Vector
    means: Vector
    converged: bool = True

    def predict(self, features: Matrix) -> Vector:
        """Chance of each row, 0..1."""
        return expit(self.intercept + features @ self.weights)


def fit_logistic(features: Matrix, left: Vector) -> Logistic:
    """The penalised maximum of the likelihood; ``left`` is 0 or 1. A feature that is the same for
    everybody gets the weight 0. All figures have 8 significant digits."""
    means, spread = features.mean(axis=0), features.std(axis=0)
    differs = spread > 1e-9 * (1 + np.abs(means))
    scaled = np.where(differs, (features - means) / np.where(differs, spread, 1.0), 0.0)
    design = np.column_stack([np.ones(len(left)), scaled])
    penalty = np.full(design.shape[1], PENALTY)
    penalty[0] = 1e-6  # keeps the intercept finite where everybody or nobody left
    point, converged = _newton(design, left, penalty)
    weights = np.where(differs, point[1:] / np.where(differs, spread, 1.0), 0.0)
    weights, means = _significant(weights), _significant(means)
    intercept = _significant(np.array([point[0] - weights @ means]))[0]
    return Logistic(float(intercept), weights, means, converged)


def _newton(design: Matrix, left: Vector, penalty: Vector) -> tuple[Vector, bool]:
    """Newton's steps, halved as long as they lead down."""
    point = np.zeros(design.shape[1])
    value = _value(design, left, penalty, point)
    for _ in range(STEPS):
        chance = expit(design @ point)
        slope = design.T @ (left - chance) - penalty * point
        weight = (chance * (1 - chance))[:, None]
        step = np.linalg.solve(design.T @ (design * weight) + np.diag(penalty), slope)
        new = _value(design, left, penalty, point + step)
        while new < value - 1e-9 * (1 + abs(value)) and np.max(np.abs(step)) > 1e-12:
            step = step / 2
            new = _value(design, left, penalty, point + step)
        point, value = point + step, new
        if np.max(np.abs(step)) < 1e-9:
            return point, bool(np.all(np.isfinite(point)))
    return point, False


def _value(design: Matrix, left: Vector, penalty: Vector, point: Vector) -> float:
    scores = design @ point
    likelihood = (left * scores - np.logaddexp(0.0, scores)).sum()
    return float(likelihood - (penalty * point**2).sum() / 2)


def _significant(values: Vector) -> Vector:
    return np.array([float(f"{value:.{DIGITS}g}") for value in values])
