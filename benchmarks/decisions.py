"""`python -m benchmarks.decisions`: the care models against the same decisions by hand.

Both start from the warehouse that a refresh of the sample company has left: careloop runs its care
models by dbt in one process, the script `script/11_decisions.sql` on one connection. Then every
row of fct_care_decisions is compared.
"""

import argparse
import os
import shutil
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.company import Company
from benchmarks.measure import Timer, in_child
from benchmarks.pipeline import import_all, refresh_of
from benchmarks.same import compare
from benchmarks.script import HERE
from careloop.transform.dbt import DbtBuild
from careloop.warehouse import connect, literal

FILE = "decisions.duckdb"
# What decides, in the order of the models; what looks at the outcome of messages is not part.
MODELS = (
    "int_care_customers",
    "int_care_days",
    "int_care_rule_days",
    "int_care_events",
    "int_care_candidates",
    "int_care_contacts",
    "int_care_consents",
    "int_care_suppressions",
    "int_care_freshness",
    "int_care_slots",
    "int_care_gates",
    "int_care_arbitration",
    "fct_care_decisions",
)
# Which release of the pack decided: by hand there is none.
LEFT_OUT = {"rule_version", "pack_hash"}


def warehouse(company: Company) -> dict[str, Any]:
    """A refresh up to the models; what it leaves is what both start from."""
    import_all()
    refresh = refresh_of(company)
    if not company.lake.exists():
        refresh.ingest(_quiet).raise_if_refused()
    with Timer() as timer:
        refresh.prepare()
        refresh.build().run().raise_if_failed()
    return {"seconds": timer.seconds, "cpu": timer.cpu}


def models(company: Company) -> dict[str, Any]:
    """The care models by dbt, without tests; details: seconds of each."""
    import_all()
    DbtBuild(company.settings, ["int_care_days"]).run().raise_if_failed()  # dbt has parsed
    build = DbtBuild(company.settings, [*MODELS, "--exclude-resource-type", "test"])
    with Timer() as timer:
        build.run()
    build.raise_if_failed()
    seconds = {node.name: round(node.seconds, 2) for node in build.nodes}
    return {
        "seconds": round(sum(node.seconds for node in build.nodes), 3),
        "cpu": timer.cpu,
        "details": {"with dbt's own work": timer.seconds, **seconds},
    }


def by_hand(company: Company) -> dict[str, Any]:
    """The script, into a file of its own."""
    target = company.root / FILE
    target.unlink(missing_ok=True)
    con = connect(company.settings, company.settings.warehouse)
    con.execute(f"attach {literal(company.settings.marts)} as marts (read_only)")
    con.execute(f"attach {literal(target)} as script")
    con.execute("set variable as_of = (select as_of_utc from run.context)")
    con.execute("set preserve_insertion_order = false")
    sql = (HERE / "11_decisions.sql").read_text("utf-8")
    with Timer() as timer:
        con.execute(sql)
        con.execute("checkpoint script")
    rows = con.execute("select count(*) from script.fct_care_decisions").fetchall()[0][0]
    con.close()
    return {"seconds": timer.seconds, "cpu": timer.cpu, "details": {"decisions": rows}}


def check(company: Company) -> None:
    """Every row of both is the same; raises AssertionError otherwise."""
    with duckdb.connect() as con:
        con.execute(f"attach {literal(company.settings.marts)} as marts (read_only)")
        con.execute(f"attach {literal(company.root / FILE)} as script (read_only)")
        compare(con, "fct_care_decisions", "decision_key", LEFT_OUT)


def _quiet(_message: str) -> None:
    """Progress that nobody reads."""


def main() -> None:
    """Measure both at each size, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3, help="runs of both, in turn")
    parser.add_argument("--data", type=Path, default=Path("data/benchmarks"), help="working folder")
    parser.add_argument("--keep", action="store_true", help="leave the data for the next time")
    options = parser.parse_args()
    company = Company.under(options.data, options.customers)
    company.make()
    if not company.settings.marts.exists():
        print(f"refresh: {in_child('care warehouse', company).seconds:.1f} s", flush=True)
    ratios = []
    for _ in range(options.repeat):
        load = os.getloadavg()[0]
        ours, theirs = in_child("care models", company), in_child("care script", company)
        ratios.append((ours.seconds / theirs.seconds, ours.cpu / theirs.cpu))
        for name, figures in (("models", ours), ("script", theirs)):
            print(
                f"{name}: {figures.seconds:.2f} s, {figures.cpu:.2f} CPU s, "
                f"{figures.peak_mb:,.0f} MB {figures.details} (load {load:.1f})",
                flush=True,
            )
    check(company)
    wall, cpu = zip(*ratios, strict=True)
    print(f"the same {theirs.details['decisions']:,} decisions; models / script: ")
    print(f"  wall {', '.join(f'{r:.2f}' for r in wall)}; CPU {', '.join(f'{r:.2f}' for r in cpu)}")
    if not options.keep:
        shutil.rmtree(company.root)


if __name__ == "__main__":
    main()
