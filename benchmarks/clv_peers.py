"""Fit and score in another package, with that package's Python; needs nothing of careloop.

``python clv_peers.py lifetimes|pymc-marketing histories.parquet`` prints figures as JSON.
"""

import importlib
import json
import resource
import sys
import time
from pathlib import Path

import pandas as pd

MONTHS = 12
WEEKS = 365.25 / 7
MONTHLY_RATE = 1.1 ** (1 / 12) - 1


def histories(file: str) -> pd.DataFrame:
    """One row per customer, in weeks."""
    rows = pd.read_parquet(file, columns=["customer_id", "repeats", "recency_days", "age_days",
                                          "mean_repeat_spend"])  # fmt: skip
    return pd.DataFrame(
        {
            "customer_id": rows["customer_id"],
            "frequency": rows["repeats"].astype(float),
            "recency": rows["recency_days"] / 7,
            "T": rows["age_days"] / 7,
            "monetary_value": rows["mean_repeat_spend"].fillna(0.0),
        }
    )


def lifetimes(rows: pd.DataFrame) -> dict:
    from lifetimes import BetaGeoFitter, GammaGammaFitter

    frequency, recency, age = rows["frequency"], rows["recency"], rows["T"]
    model = BetaGeoFitter()
    model.fit(frequency, recency, age)
    repeaters = rows[(frequency > 0) & (rows["monetary_value"] > 0)]
    spend = GammaGammaFitter()
    spend.fit(repeaters["frequency"], repeaters["monetary_value"])
    rows["p_alive"] = model.conditional_probability_alive(frequency, recency, age)
    rows["orders"] = model.conditional_expected_number_of_purchases_up_to_time(
        WEEKS, frequency, recency, age
    )
    rows["value"] = spend.customer_lifetime_value(
        model, frequency, recency, age, rows["monetary_value"],
        time=MONTHS, discount_rate=MONTHLY_RATE, freq="W",
    )  # fmt: skip
    return {name: float(model.params_[name]) for name in ("r", "alpha", "a", "b")}


def pymc_marketing(rows: pd.DataFrame) -> dict:
    from pymc_marketing.clv import BetaGeoModel, GammaGammaModel

    model = BetaGeoModel(data=rows)
    model.fit(method="map")
    repeaters = rows[(rows["frequency"] > 0) & (rows["monetary_value"] > 0)]
    spend = GammaGammaModel(data=repeaters)
    spend.fit(method="map")
    alive = model.expected_probability_alive(data=rows)
    orders = model.expected_purchases(data=rows, future_t=WEEKS)
    value = spend.expected_customer_lifetime_value(
        model, data=rows, future_t=MONTHS, discount_rate=MONTHLY_RATE, time_unit="W"
    )
    for name, found in (("p_alive", alive), ("orders", orders), ("value", value)):
        rows[name] = found.mean(("chain", "draw")).to_numpy()
    summary = model.idata.posterior
    return {name: float(summary[name].mean()) for name in ("r", "alpha", "a", "b")}


def peak_mb() -> float:
    """As in measure.py, which this Python need not be able to import."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Seconds from reading the histories to the written scores, without imports."""
    name, file = sys.argv[1:]
    step = {"lifetimes": lifetimes, "pymc-marketing": pymc_marketing}[name]
    if name == "lifetimes":
        importlib.import_module("lifetimes")
    else:
        importlib.import_module("pymc_marketing.clv")
    start, cpu = time.perf_counter(), time.process_time()
    rows = histories(file)
    found = step(rows)
    rows.to_parquet(Path(file).with_name(f"{name}.parquet"))
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = peak_mb()
    figures = {"seconds": round(seconds, 3), "cpu": round(cpu, 3), "peak_mb": round(peak, 1)}
    print(json.dumps({**figures, **found}))


if __name__ == "__main__":
    main()
