"""`python -m benchmarks.churn`: how well churn risk tells who leaves, against two plain baselines.

Each data set is refreshed as of a day in its past; nothing after that day is seen. Then it is
held against what happened next. Scored are the customers with an order before that day.

- AUC: chance that somebody who left is ranked above somebody who stayed (0.5 is a coin), ties
  counting half (Mann & Whitney 1947).
- Precision at the top decile: share of leavers among the tenth ranked highest, the share within
  ties taken as it is among them. To be compared with the share of leavers in all.

Baselines: recency alone (days since the last order) and RFM (the sum of the three scores, lowest
first). ``truth`` is the sample's own knowledge of who had left by that day; ``no order`` is
nobody's knowledge but the absence of an order from that day to the end of the data, ``horizon``
the same within the days the churn model has learned to foretell; there the Brier score and the
mean risk tell whether the risk is a chance, too. Last come the figures the model itself gave, of
customers it was not fitted on, as of the cut-off in its own past.
"""

import argparse
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import numpy as np

from careloop.churn import auc, precision_at
from careloop.cli.run import Steps, refresh_once
from careloop.contract import entities
from careloop.lake.batches import Lake
from careloop.lake.relations import current
from careloop.published import current_version, query
from careloop.sample import make_sample
from careloop.settings import PROJECT_ROOT, Settings, load_settings
from careloop.warehouse import literal

DATA = PROJECT_ROOT.parent / "shared" / "data"
SCORES = {
    "churn risk": "churn_risk",
    "alert points, then churn risk": "churn_points + churn_risk",
    "recency alone": "days_since_last_order",
    "RFM": "-rfm_sum",
}


IN_HORIZON = "horizon"


@dataclass
class DataSet:
    """A company, the day it is judged as of, and a file that knows who really left, if any."""

    name: str
    settings: Settings
    as_of: str
    truth: Path | None = None

    def leavers(self, days: int) -> dict[str, str]:
        """SQL for the ids of those who left, by label; the lake must be loaded."""
        orders = current(Lake(self.settings.lake), entities()["orders"])
        labels = {
            label: "select customer_id from dim_customers where customer_id not in (select "
            f"customer_id from ({orders}) where customer_id is not null and ordered_at >= "
            f"'{self.as_of}' {until} and coalesce(status not in ('cancelled', 'returned'), true))"
            for label, until in (
                ("no order", ""),
                (IN_HORIZON, f"and ordered_at < timestamp '{self.as_of}' + interval {days} day"),
            )
        }
        if self.truth:
            labels["truth"] = (
                f"select customer_id from {literal(self.truth)} where true_left_at < '{self.as_of}'"
            )
        return labels


def main() -> None:
    """Print, or with --json write to standard output, the figures of every data set there is."""
    options = _options()
    rows, runs = [], []
    for data in _data_sets(options):
        refresh_once(data.settings, data.as_of, Steps(quiet=True))
        runs.append(model_run(data))
        rows += judge(data, runs[-1]["label_days"])
    if options.json:
        print(json.dumps({"rows": rows, "model_runs": runs}, indent=2, default=str))
        return
    line = "{:<14} {:<9} {:>9} {:>8}  {:<30} {:>6} {:>10}  {}"
    print(line.format("data", "label", "customers", "left", "score", "AUC", "top decile", "Brier"))
    for row in rows:
        shares = (f"{row['left']:.1%}", f"{row['auc']:.3f}", f"{row['top_decile']:.1%}")
        brier = ""
        if "brier" in row:
            brier = f"{row['brier']:.3f}, mean risk {row['mean_risk']:.1%}"
        print(line.format(row["data"], row["label"], row["customers"], shares[0], row["score"],
                          *shares[1:], brier))  # fmt: skip
    for run in runs:
        print(", ".join(f"{name} {value}" for name, value in run.items()))


def judge(data: DataSet, days: int) -> Iterator[dict[str, object]]:
    """Figures of every label and score of one refreshed data set."""
    with duckdb.connect() as con:
        con.execute(f"attach {literal(current_version(data.settings))} as marts (read_only)")
        con.execute("use marts")
        there = {name for name, *_ in con.execute("describe dim_customers").fetchall()}
        scores = {k: v for k, v in SCORES.items() if set(re.findall(r"[a-z_]+", v)) <= there}
        columns = ", ".join(f"({sql})::double" for sql in scores.values())
        for label, left in data.leavers(days).items():
            table = con.execute(
                f"select (customer_id in ({left}))::int, {columns} from dim_customers "
                "where orders_total > 0 order by customer_id"
            ).fetchnumpy()
            gone, *values = (np.ma.filled(c.astype(float), np.nan) for c in table.values())
            for name, risk in zip(scores, values, strict=True):
                if np.isnan(risk).any():
                    continue
                row = {
                    "data": data.name,
                    "label": label,
                    "customers": len(gone),
                    "left": round(float(gone.mean()), 4),
                    "score": name,
                    "auc": round(auc(gone, risk), 4),
                    "top_decile": round(precision_at(gone, risk, 0.1), 4),
                }
                if (label, name) == (IN_HORIZON, "churn risk"):
                    row["brier"] = round(float(((risk - gone) ** 2).mean()), 4)
                    row["mean_risk"] = round(float(risk.mean()), 4)
                yield row


def model_run(data: DataSet) -> dict[str, object]:
    """What the churn model of the published version said of itself, on its own past."""
    columns = (
        "status, used_churn_model_run is not null as has_model, cutoff_on, label_days, "
        "sampled_customers, base_rate, auc, auc_recency, auc_rfm, top_decile, top_decile_recency, "
        "top_decile_rfm, brier, mean_predicted"
    )
    names, rows = query(
        data.settings,
        f"select {columns} from fct_churn_model_runs order by as_of desc limit 1",
    )
    return {"data": data.name, **dict(zip(names, rows[0], strict=True))}


def _data_sets(options: argparse.Namespace) -> Iterator[DataSet]:
    shutil.rmtree(options.data, ignore_errors=True)
    crm = options.data / "crm"
    make_sample(crm, options.customers, 7, date(2026, 11, 1), 0.0, "auto")
    settings = load_settings(
        home=options.data / "sample", program="retail_care", sources=[crm / "online", crm / "store"]
    )
    yield DataSet("sample", settings, "2026-05-01", crm / "truth" / "customers_truth.parquet")
    for name, variable, day in (
        ("cdnow", "CDNOW_DATA", "1997-10-01"),
        ("online_retail", "ONLINE_RETAIL_DATA", "2011-06-10"),
    ):
        folder = Path(os.environ.setdefault(variable, str(DATA)))
        if not any(folder.glob(f"{name}*")):
            print(f"{name} is not there; set {variable} to its folder", file=sys.stderr)
            continue
        example = PROJECT_ROOT / "examples" / name
        settings = load_settings(home=options.data / name, program=str(example), sources=[example])
        yield DataSet(name, settings, day)
    shutil.rmtree(options.data, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=20_000, help="customers of the sample CRM")
    parser.add_argument("--data", type=Path, default=PROJECT_ROOT / "data" / "churn")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
