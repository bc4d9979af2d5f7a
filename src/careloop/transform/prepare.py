"""The private warehouse a run starts from: raw views, the program, the run, and history."""

from datetime import date, timedelta

import duckdb

from careloop.contract import entities
from careloop.lake.batches import Batch, Lake
from careloop.lake.erasures import Erasures, is_erased, renamed
from careloop.lake.relations import current
from careloop.program.tables import write_program_tables
from careloop.published import current_version, version_before
from careloop.run_info import RunInfo
from careloop.settings import Settings
from careloop.transform.care_inputs import write_care_inputs
from careloop.warehouse import connect, literal, quote

CARRIED = {
    "customer_changes": (
        "fct_customer_changes",
        "change_key varchar, customer_id varchar, dimension varchar, from_value varchar, "
        "to_value varchar, changed_on date, as_of timestamp, reason varchar, measures varchar, "
        "pack_hash varchar",
    ),
    "model_runs": (
        "fct_model_runs",
        "model_run varchar, as_of timestamp, as_of_on date, model varchar, version varchar, "
        "status varchar, reasons varchar, reasons_zh varchar, is_used boolean, "
        "used_model_run varchar, time_unit varchar, r double, alpha double, a double, b double, "
        "log_likelihood double, p double, q double, v double, spend_log_likelihood double, "
        "customers bigint, repeat_customers bigint, interval_variation double, "
        "calibration_end_on date, holdout_days integer, holdout_customers bigint, "
        "holdout_repeat_customers bigint, "
        "holdout_predicted double, holdout_actual bigint, holdout_error double, "
        "holdout_correlation double, holdout_rmse double, pack_hash varchar",
    ),
    "customer_tier_changes": (
        "fct_customer_tier_changes",
        "change_key varchar, customer_id varchar, change_no integer, from_tier varchar, "
        "tier varchar, changed_on date, tier_since date, kept_until date, reason varchar, "
        "as_of timestamp, pack_hash varchar",
    ),
    "health_history": (
        "fct_customer_health_history",
        "customer_id varchar, recorded_on date, health_score decimal(4, 1), as_of timestamp",
    ),
    "health_averages": (
        "rpt_health_history",
        "recorded_on date, segment varchar, component varchar, customers_known bigint, "
        "average_score decimal(4, 1), as_of timestamp",
    ),
    "customer_alerts": (
        "fct_customer_alerts",
        "alert_key varchar, customer_id varchar, signal varchar, signal_title_en varchar, "
        "signal_title_zh varchar, onset_on date, last_seen_on date, seen_before_on date, "
        "closed_on date, close_reason varchar, is_open boolean, observed double, "
        "expected_low double, expected_high double, likelihood double, evidence varchar, "
        "points integer, churn_level varchar, churn_level_since date, churn_rank integer, "
        "as_of timestamp",
    ),
    "pain_point_findings": (
        "fct_pain_point_findings",
        "finding_key varchar, pain_point varchar, touchpoint varchar, level varchar, "
        "is_core boolean, found_on date, due_on date, left_on date, is_late boolean, "
        "as_of timestamp",
    ),
    "kpi_states": (
        "fct_kpi_states",
        "recorded_on date, kpi varchar, slice_kind varchar, slice varchar, "
        "numerator decimal(38, 6), denominator decimal(38, 6), as_of timestamp",
    ),
    "kpi_findings": (
        "fct_kpi_findings",
        "finding_key varchar, rule varchar, level varchar, kpi varchar, stage varchar, "
        "found_on date, due_on date, left_on date, is_late boolean, value_found double, "
        "limit_value double, as_of timestamp",
    ),
    "churn_model_runs": (
        "fct_churn_model_runs",
        "churn_model_run varchar, as_of timestamp, as_of_on date, model varchar, version "
        "varchar, status varchar, reasons varchar, reasons_zh varchar, is_used boolean, "
        "used_churn_model_run varchar, cutoff_on date, label_days integer, buyers bigint, "
        "sampled_customers bigint, leavers bigint, base_rate double, auc double, "
        "auc_recency double, auc_rfm double, top_decile double, "
        "top_decile_recency double, top_decile_rfm double, brier double, "
        "mean_predicted double, intercept double, weight_age double, weight_orders "
        "double, weight_missed_orders double, weight_spend double, weight_interactions_known "
        "double, weight_interactions double, weight_missed_interactions double, mean_age "
        "double, mean_orders double, mean_missed_orders double, mean_spend double, "
        "mean_interactions_known double, mean_interactions double, mean_missed_interactions "
        "double, pack_hash varchar",
    ),
    "sla_targets": (
        "dim_sla_targets",
        "target_key varchar, clock varchar, clock_no integer, title_en varchar, title_zh "
        "varchar, starts varchar, stops varchar, kinds varchar, urgencies varchar, channels "
        "varchar, touchpoints varchar, segments varchar, stages varchar, tiers varchar, "
        "is_complex boolean, target varchar, target_amount integer, target_unit varchar, "
        "target_seconds bigint, clock_type varchar, pauses varchar, warn_at double, "
        "target_share double, valid_from timestamp, valid_until timestamp, as_of timestamp, "
        "pack_hash varchar",
    ),
    "quality_samples": (
        "fct_quality_samples",
        "period varchar, period_start date, sample_no integer, ticket_id varchar, "
        "agent_id varchar, agent_no integer, agent_answered bigint, answered_on date, "
        "channel varchar, touchpoint varchar, kind varchar, as_of timestamp",
    ),
    "care_days": (
        "rpt_care_days",
        "as_of_on date, rule varchar, outcome varchar, gate varchar, decisions bigint, "
        "came_up bigint, as_of timestamp",
    ),
    "freshness": (
        "meta_freshness",
        "entity varchar, as_of timestamp, row_count bigint, latest_event_at timestamp",
    ),
}
CALENDAR_AHEAD = timedelta(days=800)


def prepare_warehouse(settings: Settings, run: RunInfo) -> None:
    """Write a new ``build/warehouse.duckdb`` and remove the marts of an earlier attempt."""
    settings.build.mkdir(parents=True, exist_ok=True)
    for path in (settings.warehouse, settings.marts):
        for leftover in (path, path.with_name(path.name + ".wal")):
            leftover.unlink(missing_ok=True)
    lake = Lake(settings.lake)
    con = connect(settings, settings.warehouse)
    try:
        _write_raw(con, lake)
        write_run(con, lake, run)
        write_care_inputs(con, settings)
        _carry_history(con, settings, run)
        first = first_day(con, run)
        write_program_tables(con, run.program, first, run.as_of.date() + CALENDAR_AHEAD)
    finally:
        con.close()


def replace_program(settings: Settings, run: RunInfo) -> None:
    """Puts another pack into a warehouse that is built already, for the same as_of."""
    with connect(settings, settings.warehouse) as con:
        con.execute("update run.context set pack_hash = ?", [run.program.hash])
        first = first_day(con, run)
        write_program_tables(con, run.program, first, run.as_of.date() + CALENDAR_AHEAD)


def _write_raw(con: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    con.execute("create schema raw")
    for entity in entities().values():
        relation = current(lake, entity)
        merged = "arg_max(" in relation
        kind = "table" if merged else "view"
        con.execute(f"create {kind} raw.{entity.name} as {relation}")


def write_run(con: duckdb.DuckDBPyConnection, lake: Lake, run: RunInfo) -> None:
    """``run.context`` and ``run.batches``."""
    con.execute("create schema run")
    program = run.program
    con.execute(
        "create table run.context as select ?::varchar as run_id, ?::timestamp as as_of_local, "
        "?::timestamp as as_of_utc, ?::date as as_of_date, ?::varchar as zone, ?::varchar as pack, "
        "?::varchar as pack_hash, ?::varchar as currency, ?::varchar as locale",
        [
            run.run_id,
            run.as_of_local,
            run.as_of_utc,
            run.as_of_local.date(),
            program.zone,
            program.name,
            program.hash,
            program.currency,
            program.locales[0],
        ],
    )
    con.execute(
        "create table run.batches (batch_seq integer, batch_id varchar, entity varchar, "
        "source varchar, file varchar, loaded_at timestamp, rows_read bigint, "
        "rows_loaded bigint, rows_rejected bigint, rows_held bigint, rows_outdated bigint, "
        "rows_replaced bigint, run_id varchar, min_event_at timestamp, max_event_at timestamp)"
    )
    rows = [_batch_row(batch) for batch in lake.batches()]
    if rows:
        con.executemany(f"insert into run.batches values ({', '.join('?' * len(rows[0]))})", rows)


def _batch_row(b: Batch) -> list[object]:
    counts = [b.rows_read, b.rows_loaded, b.rows_rejected, b.rows_held, b.rows_outdated]
    head = [b.seq, b.id, b.entity, b.source, b.file, b.as_of]
    return [*head, *counts, b.rows_replaced, None, b.min_event_at, b.max_event_at]


def _carry_history(con: duckdb.DuckDBPyConnection, settings: Settings, run: RunInfo) -> None:
    """Tables ``run.previous_*``: what the version of the last day before this as_of holds.

    If that version is no longer kept, the current one gives its rows from before this as_of,
    where a table has such. A version of another program starts anew: its segments mean
    something else.
    """
    for name, (_, columns) in CARRIED.items():
        con.execute(f"create table run.previous_{name} ({columns})")
    version = version_before(settings, run.as_of_local) or current_version(settings)
    if version:
        con.execute(f"attach {literal(version)} as published (read_only)")
        pack = con.execute("select pack from published.rpt_run").fetchall()[0][0]
        if pack == run.program.name:
            before = f"where as_of < timestamp {literal(run.as_of_utc)}"
            for name, table in _published_tables(con).items():
                con.execute(
                    f"insert into run.previous_{name} by name "
                    f"from published.{quote(table)} {before}"
                )
        con.execute("detach published")
    _rename_erased(con, settings)
    con.execute(
        "create view run.previous_volumes as select entity, row_count as rows, as_of "
        "from run.previous_freshness "
        "qualify row_number() over (partition by entity order by as_of desc) = 1"
    )


def _rename_erased(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """History goes on under the pseudonyms of those erased since it was published."""
    erasures = Erasures(settings.lake)
    for name, (_, columns) in CARRIED.items():
        table = f"run.previous_{name}"
        if "customer_id varchar" in columns:
            names = erasures.found_in(con, f"select customer_id from {table}", ["customer_id"])
            if names:
                con.execute(
                    f"update {table} set customer_id = {renamed('customer_id', names)} "
                    f"where {is_erased('customer_id', names)}"
                )


def _published_tables(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The carried tables that the attached version has; one of an older release may lack some."""
    listed = "select table_name from duckdb_tables() where database_name = 'published'"
    there = {table for (table,) in con.execute(listed).fetchall()}
    return {name: table for name, (table, _) in CARRIED.items() if table in there}


def first_day(con: duckdb.DuckDBPyConnection, run: RunInfo) -> date:
    """First day of the calendar: that of the year of the earliest event."""
    earliest = con.execute(
        "select min(min_event_at)::date from run.batches where min_event_at >= '1990-01-01'"
    ).fetchall()[0][0]
    return date((earliest or run.as_of.date()).year, 1, 1)
