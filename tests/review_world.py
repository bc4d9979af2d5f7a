"""A made-up published version for reviews: the marts' columns, with what is ugly in them.

Two packs' sizes: `calm`, what a good pack looks like, and `ugly`: 30 targets, 100 owners, very
long names, markup in names, nothing known, samples of one.
"""

import math
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from careloop.program.kpis import KPIS
from careloop.program.load import load_program
from careloop.program.model import Program

AS_OF = date(2026, 10, 20)
EVIL = "<script>alert(1)</script>"
LONG = "华东大区—长三角一体化示范区重点客户与战略合作伙伴服务中心（含直营门店与加盟渠道）"
REGIONS = ["华东", "华南", "华北", "西南", "东北"]
PROGRAMS = Path(__file__).resolve().parents[1] / "programs"

TABLES = """
create table rpt_run (
    run_id varchar, as_of_local timestamp, as_of_utc timestamp, as_of_on date, zone varchar,
    pack varchar, pack_hash varchar, currency varchar, locale varchar,
    last_loaded_at timestamp, last_event_at timestamp
);
create table rpt_loads (entity varchar, loaded_at timestamp, max_event_at timestamp);
create table dim_kpis (
    kpi varchar, kpi_no integer, title_en varchar, title_zh varchar, unit varchar, better varchar,
    is_state boolean, is_proportion boolean, is_critical boolean, is_watched boolean
);
create table rpt_kpis (
    kpi varchar, kpi_no integer, title_en varchar, title_zh varchar, unit varchar, better varchar,
    is_state boolean, period_type varchar, period_start date, period_end date, is_over boolean,
    slice_kind varchar, slice varchar, numerator decimal(28, 6), denominator decimal(28, 6),
    value double, low double, high double, target_id varchar, target double, baseline double,
    baseline_period_start date, attainment double, state varchar, is_critical boolean,
    benchmark double, benchmark_source varchar, previous_value double, change double, as_of_on date
);
create table rpt_kpi_targets (
    target_id varchar, target_no integer, kpi varchar, period_type varchar, period_start date,
    period_end date, is_over boolean, slice_kind varchar, slice varchar, direction varchar,
    is_critical boolean, started_on date, due_on date, numerator decimal(28, 6),
    denominator decimal(28, 6), value double, target double, stretch double, baseline double,
    baseline_period_type varchar, baseline_period_start date, expected_now double,
    attainment double, state varchar
);
create table rpt_kpi_deviations (
    kpi varchar, period_type varchar, period_start date, dimension varchar, member varchar,
    previous_numerator decimal(28, 6), previous_denominator decimal(28, 6),
    numerator decimal(28, 6), denominator decimal(28, 6), previous_value double, value double,
    rate_effect double, mix_effect double, total_effect double, share_of_change double,
    total_value double, total_previous_value double
);
"""

# Where a unit's values begin, and a step of theirs.
_TYPICAL = {
    "share": (0.55, 0.02), "score_5": (4.0, 0.05), "score_100": (78, 1.2), "nps": (32, 2.5),
    "minutes": (34, 2.2), "hours": (19, 1.1), "days": (6, 0.4), "money": (1830, 55),
}  # fmt: skip


def pack(name: str, *, evil: bool = False) -> Program:
    """A pack; evil: its first segment is called a script, its second has a very long name."""
    program = load_program(PROGRAMS / name)
    if not evil:
        return program
    first, second, *rest = program.segments
    renamed = [
        first.model_copy(update={"title": first.title.model_copy(update={"en": EVIL, "zh": EVIL})}),
        second.model_copy(
            update={"title": second.title.model_copy(update={"en": LONG * 2, "zh": LONG})}
        ),
        *rest,
    ]
    changed = program.model_copy(update={"segments": renamed})
    changed._hash, changed._folder = program._hash, program._folder
    return changed


def make_world(path: Path, program: Program, *, ugly: bool = False) -> Path:
    """Write the file of a published version of a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as con:
        con.execute(TABLES)
        _run(con, program)
        targets = _targets(program, ugly)
        _fill(con, "dim_kpis", _dim(program))
        for row in _values(program, targets, ugly):
            _fill(con, "rpt_kpis", row)
        _fill(con, "rpt_kpi_targets", _judged(con, targets, ugly))
        _fill(con, "rpt_kpi_deviations", _deviations(program, targets, ugly))
    return path


def _run(con: duckdb.DuckDBPyConnection, program: Program) -> None:
    midnight = datetime(AS_OF.year, AS_OF.month, AS_OF.day)
    utc = midnight - timedelta(hours=8)
    _fill(
        con,
        "rpt_run",
        [
            (
                "0123456789", midnight, utc, AS_OF, program.zone, program.name, "abcdef012345",
                program.currency, program.locales[0], utc, None,
            )
        ],
    )  # fmt: skip
    _fill(
        con,
        "rpt_loads",
        [("orders", utc, utc - timedelta(hours=3)), ("tickets", utc, utc + timedelta(days=9))],
    )


def _fill(con: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        names = [f"c{i}" for i in range(len(rows[0]))]
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))
        con.register("made_up", pa.table({name: list(values) for name, values in columns.items()}))
        con.execute(f"insert into {table} select * from made_up")
        con.unregister("made_up")


def _dim(program: Program) -> list[tuple[Any, ...]]:
    watched = {item.kpi for item in program.goals.watched}
    critical = {item.kpi for item in program.goals.targets if getattr(item, "critical", False)}
    return [
        (
            kpi.name, i, kpi.about_en, kpi.about_zh, kpi.unit, kpi.better, kpi.is_state,
            kpi.is_proportion, kpi.name in critical, kpi.name in watched,
        )
        for i, kpi in enumerate(KPIS.values())
    ]  # fmt: skip


def _targets(program: Program, ugly: bool) -> list[dict[str, Any]]:
    """id, kpi, every, slice_kind, slice, critical, by_owner, within of the pack's targets; of an
    ugly company 30 KPIs'."""
    if ugly:
        every = ("quarter", "month", "year", "week", "quarter")
        return [
            {
                "id": f"target_{i}", "kpi": name, "every": every[i % 5], "critical": i % 9 == 1,
                "slice_kind": "all", "slice": "(all)", "by_owner": i == 3,
                "within": i % 4 == 0,
            }
            for i, name in enumerate(list(KPIS)[:30])
        ]  # fmt: skip
    found = []
    for i, target in enumerate(program.goals.targets):
        kind = next((k for k in ("touchpoint", "stage") if getattr(target, k)), "all")
        found.append(
            {
                "id": target.id,
                "kpi": target.kpi,
                "every": target.every,
                "critical": i in (1, 5),
                "slice_kind": kind,
                "slice": getattr(target, kind) if kind != "all" else "(all)",
                "by_owner": target.by_owner,
                "within": target.within is not None,
            }
        )
    return found


def _periods(kind: str) -> list[tuple[date, date]]:
    """Start and end of the periods of a kind, the oldest first, up to that which runs."""
    if kind == "week":
        monday = AS_OF - timedelta(days=AS_OF.weekday())
        starts = [monday - timedelta(days=7 * n) for n in range(12, -1, -1)]
        return [(day, day + timedelta(days=7)) for day in starts]
    if kind == "month":
        return [(_month(-n), _month(1 - n)) for n in range(13, -1, -1)]
    if kind == "quarter":
        return [(_month(-3 * n), _month(3 - 3 * n)) for n in range(6, -1, -1)]
    return [(_month(-9 - 3 * n), _month(3 - 3 * n)) for n in range(6, -1, -1)]


def _month(number: int) -> date:
    months = AS_OF.year * 12 + AS_OF.month - 1 + number
    return date(months // 12, months % 12 + 1, 1)


def _slices(
    program: Program, targets: list[dict[str, Any]], kpi: str, ugly: bool
) -> list[tuple[str, str]]:
    mine = [t for t in targets if t["kpi"] == kpi]
    owners = range(100 if ugly else 8) if any(t["by_owner"] for t in mine) else ()
    kept = {(t["slice_kind"], t["slice"]) for t in mine}
    return [
        ("all", "(all)"),
        *sorted(kept - {("all", "(all)")}),
        *(("owner", f"S{n:03d}") for n in owners),
    ]


def _values(
    program: Program, targets: list[dict[str, Any]], ugly: bool
) -> list[list[tuple[Any, ...]]]:
    """Rows of rpt_kpis, by KPI."""
    found = []
    for number, kpi in enumerate(KPIS.values()):
        rows = []
        for kind in ("week", "month", "quarter", "year"):
            for slice_kind, member in _slices(program, targets, kpi.name, ugly):
                seed = number * 7 + sum(map(ord, member))
                previous = None
                for i, (start, end) in enumerate(_periods(kind)):
                    if ugly and kind == "month" and number % 6 == 5 and i in (3, 4, 5):
                        previous = None
                        continue
                    value = _value(kpi.unit, kpi.better, i, seed, len(_periods(kind)))
                    sample = 3 if ugly and number % 7 == 2 else 400 + 31 * (seed % 17)
                    low, high = _wilson(value, sample) if kpi.unit == "share" else (None, None)
                    rows.append(
                        (
                            kpi.name, number, kpi.about_en, kpi.about_zh, kpi.unit, kpi.better,
                            kpi.is_state, kind, start, end, end <= AS_OF, slice_kind, member,
                            round(value * sample, 6), sample, value, low, high, None, None, None,
                            None, None, None, False,
                            round(value * 1.04, 4) if number % 3 == 0 else None,
                            "行业协会年报 2025" if number % 3 == 0 else None,
                            previous, None if previous is None else value - previous, AS_OF,
                        )
                    )  # fmt: skip
                    previous = value
        found.append(rows)
    return found


def _value(unit: str, better: str, i: int, seed: int, n: int) -> float:
    start, step = _TYPICAL[unit]
    slope = ((seed % 5) - 1.7) * (1 if better == "higher" else -1)
    wave = math.sin(i * 1.3 + seed) * 0.8
    return round(start + step * (slope * i * 6 / n + wave), 6)


def _wilson(p: float, n: int) -> tuple[float, float]:
    z = 1.959964
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(max(0.0, p * (1 - p)) / n + z * z / (4 * n * n))
    return middle - half, middle + half


def _judged(
    con: duckdb.DuckDBPyConnection, targets: list[dict[str, Any]], ugly: bool
) -> list[tuple[Any, ...]]:
    rows = []
    for number, target in enumerate(targets):
        kpi = KPIS[target["kpi"]]
        for kind, member, start, end, over, numerator, denominator, value in con.execute(
            "select slice_kind, slice, period_start, period_end, is_over, numerator, denominator, "
            "value from rpt_kpis where kpi = $kpi and period_type = $every and (slice_kind = "
            "$kind and slice = $slice or $by_owner and slice_kind = 'owner') "
            "order by slice_kind, slice, period_start",
            {
                "kpi": target["kpi"], "every": target["every"], "kind": target["slice_kind"],
                "slice": target["slice"], "by_owner": target["by_owner"],
            },
        ).fetchall():  # fmt: skip
            if start < date(2025, 10, 1):
                continue
            base, step = _TYPICAL[kpi.unit]
            up = 1 if kpi.better == "higher" else -1
            goal = base + up * step * (number % 4 + 1)
            state = "met" if up * (value - goal) >= 0 else "missed"
            if state == "missed" and target["within"] and number % 2:
                state = "on_track"
            baseline = base if target["within"] else None
            if denominator < 30 or (not ugly and number == 6):
                state = "not_enough_data"
            if ugly and number % 11 == 10:
                value, goal, state, denominator = None, None, "not_enough_data", None
            rows.append(
                (
                    target["id"], number, target["kpi"], target["every"], start, end, over, kind,
                    member, "at_least" if up > 0 else "at_most", target["critical"],
                    date(2026, 1, 1), date(2026, 12, 31) if target["within"] else None,
                    numerator, denominator, value, goal, None, baseline,
                    "quarter" if baseline else None, date(2026, 1, 1) if baseline else None,
                    goal, None if None in (value, goal) else value / goal if up > 0 else goal / value,
                    state,
                )
            )  # fmt: skip
    return rows


def _deviations(
    program: Program, targets: list[dict[str, Any]], ugly: bool
) -> list[tuple[Any, ...]]:
    """Kitagawa's effects of made-up members."""
    members = {
        "segment": [s.id for s in program.segments],
        "stage": [s.id for s in program.stages],
        "region": [*REGIONS, "(unknown)", *([EVIL, LONG] if ugly else [])],
        "owner": [f"S{n:03d}" for n in range(100 if ugly else 8)],
        "touchpoint": ["(unknown)"],
    }
    rows = []
    for number, name in enumerate(sorted({t["kpi"] for t in targets})):
        if KPIS[name].is_state:
            continue
        base, step = _TYPICAL[KPIS[name].unit]
        for kind in ("month", "quarter", "year"):
            for start, _ in _periods(kind)[-3:]:
                now = _value(KPIS[name].unit, KPIS[name].better, number + 1, number, 7)
                for dimension, names in members.items():
                    effects = _effects(step, names, number, (base, now))
                    rows += [(name, kind, start, dimension, *effect) for effect in effects]
    return rows


def _effects(
    step: float, names: list[str], number: int, totals: tuple[float, float]
) -> list[tuple[Any, ...]]:
    """Effects of members whose figures together are the totals, before and now."""
    cells = []
    for i, member in enumerate(names):
        d0, d1 = 100 + 37 * (i % 5), 100 + 41 * ((i + number) % 5)
        r0, r1 = math.sin(i + number), math.sin(i + number) + math.cos(2 * i + number) - 0.9
        if member == EVIL:
            d0, d1, r1 = 900, 900, r0 + 9
        elif i == 1 and len(names) > 4:
            d0, r0 = 0, r1
        cells.append([member, d0, d1, r0 * step, r1 * step])
    n0, n1 = sum(c[1] for c in cells), sum(c[2] for c in cells)
    off0 = totals[0] - sum(c[1] * c[3] for c in cells) / n0
    off1 = totals[1] - sum(c[2] * c[4] for c in cells) / n1
    rows = []
    for member, d0, d1, x0, x1 in cells:
        r1 = x1 + off1
        r0 = x0 + off0 if d0 else r1
        w0, w1 = d0 / n0, d1 / n1
        rate = (w0 + w1) / 2 * (r1 - r0)
        mix = (w1 - w0) * ((r0 + r1) / 2 - sum(totals) / 2)
        share = (rate + mix) / (totals[1] - totals[0]) if totals[1] != totals[0] else None
        rows.append(
            (
                member, round(d0 * r0, 6), d0, round(d1 * r1, 6), d1, r0 if d0 else None, r1,
                rate, mix, rate + mix, share, totals[1], totals[0],
            )
        )  # fmt: skip
    return rows
