"""Which rows of the KPIs' marts a review judges: of each target the last period it has seen."""

from typing import Any

from careloop.review.reader import Reader, Row
from careloop.review.words import Words

_JUDGED = """
with

seen as (
    select *, least(period_end, $as_of_on) as seen_until
    from rpt_kpi_targets
),

-- Of periods seen equally far the one that began first: twelve whole months before a year begun.
chosen as (
    select target_id, period_type, period_start
    from seen
    where seen_until <= $end_day
    group by target_id, period_type, period_start, seen_until
    qualify row_number() over (
        partition by target_id order by seen_until desc, period_start
    ) = 1
),

within_period as (
    select
        target_id,
        slice_kind,
        slice,
        count(*) filter (where state in ('met', 'on_track')) as periods_held,
        count(*) filter (where state <> 'not_enough_data') as periods_judged
    from seen
    where period_start >= $first_day and period_end <= $end_day and is_over
    group by target_id, slice_kind, slice
),

-- Several targets can be of one row of figures.
figures as (
    select distinct
        kpi, period_type, period_start, slice_kind, slice, low, high, previous_value,
        benchmark, benchmark_source
    from rpt_kpis
)

select
    seen.*,
    dim_kpis.kpi_no,
    dim_kpis.unit,
    dim_kpis.better,
    dim_kpis.is_state,
    figures.low,
    figures.high,
    figures.previous_value,
    seen.value - figures.previous_value as change,
    figures.benchmark,
    figures.benchmark_source,
    coalesce(within_period.periods_held, 0) as periods_held,
    coalesce(within_period.periods_judged, 0) as periods_judged
from seen
inner join chosen using (target_id, period_type, period_start)
inner join dim_kpis using (kpi)
left join figures using (kpi, period_type, period_start, slice_kind, slice)
left join within_period using (target_id, slice_kind, slice)
order by seen.target_no, seen.slice_kind = 'owner', seen.slice_kind, seen.slice
"""

_HISTORY = """
select
    targets.target_id,
    targets.period_start,
    targets.period_end,
    targets.value,
    targets.target,
    targets.is_over,
    rpt_kpis.low,
    rpt_kpis.high
from rpt_kpi_targets as targets
left join rpt_kpis using (kpi, period_type, period_start, slice_kind, slice)
where
    targets.slice_kind <> 'owner'
    and least(targets.period_end, $as_of_on) <= $end_day
    -- As the next period begins it is not over, but has nothing to show either.
    and (targets.period_end <= $end_day or $as_of_on < $end_day)
    -- A baseline's period may lie long before.
    and targets.period_end > $end_day - to_months(case targets.period_type
        when 'week' then 3 when 'month' then 13 else 21
    end)
order by targets.target_id, least(targets.period_end, $as_of_on), targets.period_start
"""

_FREE = """
with

aims as (
    select distinct kpi, period_type
    from rpt_kpi_targets
    where slice_kind = 'all'
),

seen as (
    select
        *,
        least(period_end, $as_of_on) as seen_until,
        kpi in (select kpi from aims) as has_target
    from rpt_kpis
    where
        slice_kind = 'all'
        and period_end > $end_day - to_months(case period_type
            when 'week' then 3 when 'month' then 13 else 21
        end)
        and (kpi, period_type) not in (select (kpi, period_type) from aims)
)

select seen.*, dim_kpis.kpi_no, dim_kpis.is_watched
from seen
inner join dim_kpis using (kpi)
where seen_until <= $end_day and (period_end <= $end_day or $as_of_on < $end_day)
order by seen.period_type, dim_kpis.kpi_no, seen.seen_until, seen.period_start
"""

STATES = ("missed", "on_track", "met", "not_enough_data")


def judged(reader: Reader) -> list[Row]:
    """One row per target and slice (owners last): rpt_kpi_targets with the figures of rpt_kpis,
    of the last period of its kind whose seen part lies in the review's or before.

    periods_held, periods_judged: periods that are over and lie in the review's, for targets
    measured over shorter ones.
    """
    return reader.rows(_JUDGED, _as_of(reader))


def history(reader: Reader) -> dict[str, list[Row]]:
    """Per target its values and targets by period, the oldest first; without owners."""
    found: dict[str, list[Row]] = {}
    for row in reader.rows(_HISTORY, _as_of(reader)):
        found.setdefault(row["target_id"], []).append(row)
    return found


def free(reader: Reader) -> dict[str, list[Row]]:
    """Per KPI without a target its values by period, the oldest first: over weeks, months or
    years if the pack watches it so, else over periods like the review's. A KPI with a target is
    there if the pack watches it over other periods too."""
    every = {watched.kpi: watched.every for watched in reader.program.goals.watched}
    found: dict[str, list[Row]] = {}
    for row in reader.rows(_FREE, _as_of(reader)):
        if row["has_target"] and row["kpi"] not in every:
            continue
        if row["period_type"] == every.get(row["kpi"], reader.period.kind):
            found.setdefault(row["kpi"], []).append(row)
    return found


def whole(rows: list[Row]) -> list[Row]:
    """Those that are not of one owner."""
    return [row for row in rows if row["slice_kind"] != "owner"]


def foremost(rows: list[Row]) -> list[Row]:
    """One row per figure: of several targets on it the critical one, then the first."""
    first: dict[tuple[Any, ...], Row] = {}
    for row in sorted(rows, key=lambda row: (not row["is_critical"], row["target_no"])):
        first.setdefault((row["kpi"], row["period_start"], row["slice_kind"], row["slice"]), row)
    return sorted(first.values(), key=lambda row: row["target_no"])


def title(say: Words, row: Row) -> str:
    """The KPI and what part of it: Satisfaction · after sale."""
    name = say.kpi(row["kpi"])
    if row["slice_kind"] == "all":
        return name
    return f"{name} · {say.member(row['slice_kind'], row['slice'])}"


def period_name(say: Words, row: Row) -> str:
    """A target's period on an axis; of a rolling year its last month."""
    if row["period_type"] != "year":
        return say.short_period(row["period_start"], row["period_type"])
    return say("until_month", month=f"{_day_before(row['period_end']):%Y-%m}")


def point_name(say: Words, row: Row) -> str:
    """A target's period on the axis of a chart; of a rolling year only its last month."""
    if row["period_type"] != "year":
        return period_name(say, row)
    return say.short_period(_day_before(row["period_end"]), "month")


def period_text(say: Words, row: Row) -> str:
    """A target's period in a sentence."""
    if row["period_type"] == "year":
        return say("twelve_months", month=f"{_day_before(row['period_end']):%Y-%m}")
    return say.period(row["period_start"], row["period_type"])


def _day_before(day: Any) -> Any:
    return day.fromordinal(day.toordinal() - 1)


def _as_of(reader: Reader) -> dict[str, Any]:
    return {"as_of_on": reader.as_of.date()}
