"""`python -m benchmarks.churn`: how well churn risk tells who leaves, against two plain baselines.

Each data set is refreshed as of a day in its past; nothing after that day is seen. Then it is
held against what happened next. Scored are the customers with an order before that day.

- AUC: chance that somebody who left is ranked above somebody who stayed (0.5 is a coin), ties
  counting half (Mann & Whitney 1947).
- Precision at the top decile: share of leavers among the tenth ranked highest, the share within
  ties taken as it is among them. To be compared with the share of leavers in all.

Baselines: recency alone (days since the last order) and RFM (the sum of the three scores, lowest
first). ``truth`` is the sample's own knowledge of who had left by that day; ``no order`` is
nobody's knowledge but the absence of an order from that day to the end of the data.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
from scipy.stats import rankdata

from careloop.cli.run import Steps, refresh_once
from careloop.contract import entities
from careloop.lake.batches import Lake
from careloop.lake.relations import current
from careloop.published import current_version
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


@dataclass
class DataSet:
    """A company, the day it is judged as of, and a file that knows who really left, if any."""

    name: str
    settings: Settings
    as_of: str
    truth: Path | None = None

    def leavers(self) -> dict[str, str]:
        """SQL for the ids of those who left, by label; the lake must be loaded."""
        orders = current(Lake(self.settings.lake), entities()["orders"])
        labels = {
            "no order": "select customer_id from dim_customers where customer_id not in (select "
            f"customer_id from ({orders}) where customer_id is not null and ordered_at >= "
            f"'{self.as_of}' and coalesce(status not in ('cancelled', 'returned'), true))"
        }
        if self.truth:
            labels["truth"] = (
                f"select customer_id from {literal(self.truth)} where true_left_at < '{self.as_of}'"
            )
        return labels


def main() -> None:
    """Print, or with --json write to standard output, the figures of every data set there is."""
    options = _options()
    rows = [row for data in _data_sets(options) for row in judge(data)]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    line = "{:<14} {:<9} {:>9} {:>8}  {:<30} {:>6} {:>10}"
    print(line.format("data", "label", "customers", "left", "score", "AUC", "top decile"))
    for row in rows:
        shares = (f"{row['left']:.1%}", f"{row['auc']:.3f}", f"{row['top_decile']:.1%}")
        print(line.format(row["data"], row["label"], row["customers"], shares[0], row["score"],
                          *shares[1:]))  # fmt: skip


def judge(data: DataSet) -> Iterator[dict[str, object]]:
    """Figures of every label and score of one data set."""
    refresh_once(data.settings, data.as_of, Steps(quiet=True))
    marts = current_version(data.settings)
    scores = ", ".join(f"({sql})::double" for sql in SCORES.values())
    with duckdb.connect() as con:
        con.execute(f"attach {literal(marts)} as marts (read_only); use marts")
        for label, left in data.leavers().items():
            table = con.execute(
                f"select (customer_id in ({left}))::int, {scores} from dim_customers "
                "where orders_total > 0 order by customer_id"
            ).fetchnumpy()
            gone, *columns = (
                np.ma.filled(column.astype(float), np.nan) for column in table.values()
            )
            for name, values in zip(SCORES, columns, strict=True):
                if np.isnan(values).any():
                    continue
                yield {
                    "data": data.name,
                    "label": label,
                    "customers": len(gone),
                    "left": round(float(gone.mean()), 4),
                    "score": name,
                    "auc": round(auc(gone, values), 4),
                    "top_decile": round(precision_at(gone, values, 0.1), 4),
                }


def auc(gone: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve by ranks; ``gone`` is 0 or 1."""
    ranks, left = rankdata(score), gone.sum()
    return float((ranks[gone == 1].sum() - left * (left + 1) / 2) / (left * (len(gone) - left)))


def precision_at(gone: np.ndarray, score: np.ndarray, share: float) -> float:
    """Share of leavers among the ``share`` scored highest; ties at the edge count pro rata."""
    wanted = len(gone) * share
    edge = np.sort(score)[::-1][int(np.ceil(wanted)) - 1]
    above, tied = score > edge, score == edge
    return float((gone[above].sum() + gone[tied].mean() * (wanted - above.sum())) / wanted)


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
