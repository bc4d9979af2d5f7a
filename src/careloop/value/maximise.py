"""Maximum likelihood of a few parameters: bounded quasi-Newton, then Newton to the top."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Vector = NDArray[np.float64]
# (mean log-likelihood, its gradient) at a point
Objective = Callable[[Vector], tuple[float, Vector]]
# Of the mean log-likelihood; a customer's weight in a fit of a million is 1e-6.
MAX_GRADIENT = 1e-6
NEWTON_STEPS = 20
EDGE = 1e-9


@dataclass(frozen=True)
class Optimum:
    """Where the mean log-likelihood is highest. ``converged``: the slope there is zero in every
    direction the limits leave open."""

    point: Vector
    value: float
    converged: bool


def maximise(
    objective: Objective, starts: Sequence[Vector], lower: Vector, upper: Vector
) -> Optimum:
    """The optimum from the first start; if that does not converge within the limits, the best
    from all. The same inputs give the same bits."""
    found = []
    for start in starts:
        found.append(_climb(objective, start, lower, upper))
        inside = np.all((found[-1].point > lower + EDGE) & (found[-1].point < upper - EDGE))
        if found[-1].converged and inside:
            return found[-1]
    return max(found, key=lambda optimum: (optimum.converged, optimum.value))


def _climb(objective: Objective, start: Vector, lower: Vector, upper: Vector) -> Optimum:
    def falling(point: Vector) -> tuple[float, Vector]:
        value, slope = objective(point)
        return -value, -slope

    result = minimize(
        falling,
        np.clip(start, lower, upper),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(lower, upper, strict=True)),
        options={"maxiter": 500, "ftol": 1e-11, "gtol": MAX_GRADIENT},
    )
    point = _newton(objective, result.x, lower, upper)
    value, slope = objective(point)
    slope = np.where(_open(point, slope, lower, upper), slope, 0.0)
    flat = bool(np.all(np.isfinite(slope)) and np.max(np.abs(slope)) < MAX_GRADIENT)
    return Optimum(point, value, flat and bool(np.isfinite(value)))


def _newton(objective: Objective, point: Vector, lower: Vector, upper: Vector) -> Vector:
    """A few steps with the curvature at the first, as long as they lead up: the last digits."""
    value, slope = objective(point)
    free = _open(point, slope, lower, upper)
    curved = _hessian(objective, point)[np.ix_(free, free)]
    if not free.any() or not np.all(np.isfinite(curved)) or np.linalg.eigvalsh(curved)[-1] >= 0:
        return point
    for _ in range(NEWTON_STEPS):
        step = np.zeros_like(point)
        step[free] = -np.linalg.solve(curved, slope[free])
        new = np.clip(point + step, lower, upper)
        new_value, new_slope = objective(new)
        if not np.isfinite(new_value) or new_value < value - 1e-12 * abs(value):
            break
        moved = float(np.max(np.abs(new - point)))
        point, value, slope = new, new_value, new_slope
        if moved < 1e-11:
            break
    return point


def _open(point: Vector, slope: Vector, lower: Vector, upper: Vector) -> NDArray[np.bool_]:
    """Directions not closed by a limit the likelihood still rises towards."""
    return ~(((point <= lower + EDGE) & (slope < 0)) | ((point >= upper - EDGE) & (slope > 0)))


def _hessian(objective: Objective, point: Vector, step: float = 1e-4) -> Vector:
    """Second derivatives by central differences of the exact gradient."""
    columns = []
    for i in range(len(point)):
        shift = np.zeros_like(point)
        shift[i] = step
        columns.append((objective(point + shift)[1] - objective(point - shift)[1]) / (2 * step))
    matrix = np.array(columns)
    return (matrix + matrix.T) / 2
