"""One KPI as a chart, as a file or as lines of text: for a question between two reviews."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

from careloop.errors import SettingsError
from careloop.program.kpis import KPIS
from careloop.program.model import Program
from careloop.review import charts
from careloop.review.reader import kpi_rows
from careloop.review.words import Words
from careloop.settings import Settings
from careloop.warehouse import Row

By = Literal["segment", "stage", "tier", "region", "owner", "touchpoint", "core"]
Every = Literal["week", "month", "quarter", "year"]
FORMATS = (".html", ".svg", ".png")
# Lines that can be told apart; with more members the last period is drawn as bars.
MOST_LINES = len(charts.SERIES)
MOST_BARS = 30
WIDTH, SCALE = 760, 2.0
PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font-family:{font};color:{ink};max-width:60rem;margin:1.5rem auto;padding:0 1rem}}
h1{{font-size:1.25rem}}p{{color:{soft}}}#chart{{width:100%}}</style></head>
<body><h1>{title}</h1><p>{about}</p><div id="chart"></div>
<script type="application/json" id="spec">{spec}</script>
<script>{bundle}</script>
<script>vegaEmbed("#chart", JSON.parse(document.getElementById("spec").textContent),
{{renderer: "svg", actions: false}});</script>
</body></html>
"""


@dataclass(frozen=True)
class KpiChart:
    """A KPI over periods, of all or by member of a dimension.

    rows: period_start, period (its label), member (its title, none for all), value, numerator,
    denominator, low, high, target, state, previous_value, change, is_over; the earliest period
    first, members in the program's order. is_bars: too many members for lines, or a single
    period; what is drawn then is the last period that is over.
    """

    kpi: str
    title: str
    about: str
    unit: str
    by: By | None
    every: Every
    rows: tuple[Row, ...]
    is_bars: bool

    @property
    def last(self) -> tuple[Row, ...]:
        """The rows of the last period that is over, else of the last one."""
        over = [row for row in self.rows if row["is_over"]] or list(self.rows)
        newest = max(row["period_start"] for row in over)
        return tuple(row for row in over if row["period_start"] == newest)


def known_kpis(settings: Settings, version: str | None = None) -> list[Row]:
    """One row per KPI that has figures: kpi, titles, unit, better, kinds of periods, dimensions,
    target, and the last value of a period that is over (quarter, else month, week, year)."""
    sql = """
        with figures as (select * from rpt_kpis where value is not null),
        latest as (
            select kpi, arg_max(value, (preferred, period_start)) as value,
                arg_max(state, (preferred, period_start)) as state,
                arg_max(period_type, (preferred, period_start)) as period_type,
                arg_max(period_start, (preferred, period_start)) as period_start
            from (
                select *, case period_type when 'quarter' then 4 when 'month' then 3
                    when 'week' then 2 else 1 end as preferred
                from figures where slice_kind = 'all' and is_over
            ) group by kpi
        )
        select kpi, any_value(title_en) as title_en, any_value(title_zh) as title_zh,
            any_value(unit) as unit, any_value(better) as better,
            list_sort(list(distinct figures.period_type)) as periods,
            list_sort(list(distinct slice_kind) filter (where slice_kind <> 'all')) as dimensions,
            any_value(latest.value) as value, any_value(latest.state) as state,
            any_value(latest.period_type) as period_type,
            any_value(latest.period_start) as period_start
        from figures left join latest using (kpi)
        group by kpi order by kpi
    """
    return kpi_rows(settings, sql, {}, version)


def kpi_chart(
    settings: Settings,
    program: Program,
    kpi: str,
    *,
    by: By | None = None,
    every: Every = "quarter",
    language: str = "en",
    version: str | None = None,
) -> KpiChart:
    """What ``rpt_kpis`` has of a KPI. Raises SettingsError for a KPI, dimension or kind of period
    that there is not, or of which there are no figures."""
    _check(kpi, by, every)
    say = Words("words", language, program)
    found = kpi_rows(settings, _ROWS, {"kpi": kpi, "by": by or "all", "every": every}, version)
    known = [row for row in found if row["value"] is not None]
    if not known:
        dimension = f" by {by}" if by else ""
        raise SettingsError(
            f"there are no figures of {kpi}{dimension} per {every}",
            "`careloop chart list` says what there is",
        )
    order = _order(known, by, say)
    rows = [
        {
            **row,
            "period": say.short_period(row["period_start"], every),
            "member": say.member(by, row["slice"]) if by else None,
        }
        for row in sorted(known, key=lambda row: (row["period_start"], order[row["slice"]]))
    ]
    about = getattr(KPIS[kpi], f"about_{language}")
    periods = {row["period_start"] for row in rows}
    is_bars = len(order) > MOST_LINES or (by is not None and len(periods) == 1)
    return KpiChart(
        kpi, about, _about(kpi, language), known[0]["unit"], by, every, tuple(rows),
        is_bars,
    )  # fmt: skip


_ROWS = """
    select kpi, period_start, slice, unit, value, numerator, denominator, low, high, target, state,
        previous_value, change, is_over
    from rpt_kpis
    where kpi = $kpi and period_type = $every and slice_kind = $by
    order by period_start, slice
"""


def spec_of(chart: KpiChart, say: Words) -> dict[str, Any]:
    """The chart as a Vega-Lite specification."""
    if chart.is_bars:
        largest = sorted(chart.last, key=lambda row: -row["denominator"])[:MOST_BARS]
        shown = [row for row in chart.last if row in largest]
        rows = [{"label": r["member"], "actual": r["value"]} for r in shown]
        return charts.bars(say, rows, chart.unit)
    keys = ("period", "value", "is_over")
    single = chart.by is None
    rows = [
        {key: row[key] for key in keys}
        | ({key: row[key] for key in ("target", "low", "high")} if single else {})
        | ({} if single else {"series": row["member"]})
        for row in chart.rows
    ]
    return charts.trend(say, rows, chart.unit, height=320)


def write_chart(chart: KpiChart, say: Words, path: Path) -> Path:
    """Write the chart as a page that needs no network, as SVG or as PNG, by the file's ending.
    Raises SettingsError for another ending or a path that can't be written to."""
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise SettingsError(f"{path.name} is no chart file", f"endings: {', '.join(FORMATS)}")
    spec = spec_of(chart, say)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_drawn(chart, spec, say.language, ending))
    except OSError as error:
        raise SettingsError(f"{path} can't be written: {error.strerror}", "--out") from error
    return path


def _drawn(chart: KpiChart, spec: dict[str, Any], language: str, ending: str) -> bytes:
    # Takes half a second to import, which the terminal has no use for.
    import vl_convert

    if ending == ".html":
        return _page(chart, spec, language).encode()
    title = {"text": _title(chart), "anchor": "start", "fontSize": 15, "color": charts.INK}
    fixed = {**spec, "width": WIDTH, "title": title, "background": charts.PAPER, "padding": 12}
    fixed["autosize"] = {"type": "fit-x", "contains": "padding"}
    if ending == ".svg":
        return vl_convert.vegalite_to_svg(fixed).encode()
    return vl_convert.vegalite_to_png(fixed, scale=SCALE)


def _page(chart: KpiChart, spec: dict[str, Any], language: str) -> str:
    import vl_convert

    spec = {**spec, "autosize": {"type": "fit-x", "contains": "padding"}}
    return PAGE.format(
        lang="zh-CN" if language == "zh" else "en",
        title=_title(chart),
        about=chart.about,
        font=charts.FONT,
        ink=charts.INK,
        soft=charts.SOFT,
        spec=json.dumps(spec, ensure_ascii=False, sort_keys=True).replace("<", "\\u003c"),
        bundle=vl_convert.javascript_bundle().replace("</script", "<\\/script"),
    )


def _title(chart: KpiChart) -> str:
    last = chart.last[0]["period"]
    return f"{chart.title} · {last}" if chart.is_bars else chart.title


def _about(kpi: str, language: str) -> str:
    one = KPIS[kpi]
    over = getattr(one, f"numerator_{language}"), getattr(one, f"denominator_{language}")
    return " ÷ ".join(over)


def _order(rows: Sequence[Row], by: By | None, say: Words) -> dict[str, int]:
    """The members in the program's order, those it does not know after them by size."""
    size: dict[str, float] = {}
    for row in rows:
        size[row["slice"]] = size.get(row["slice"], 0) + float(row["denominator"])
    titled = say.members(by) if by else []
    known = [member for member in titled if member in size]
    others = sorted((m for m in size if m not in known), key=lambda m: (-size[m], m))
    return {member: number for number, member in enumerate([*known, *others])}


def _check(kpi: str, by: str | None, every: str) -> None:
    if kpi not in KPIS:
        near = get_close_matches(kpi, KPIS, n=3, cutoff=0.5)
        raise SettingsError(
            f"there is no KPI {kpi}",
            (f"did you mean {', '.join(near)}? " if near else "") + "`careloop chart list`",
        )
    for value, allowed, what in ((by, get_args(By), "--by"), (every, get_args(Every), "--period")):
        if value is not None and value not in allowed:
            raise SettingsError(f"there is no {what} {value}", f"allowed: {', '.join(allowed)}")
