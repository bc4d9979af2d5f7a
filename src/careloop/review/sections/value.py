"""What customers spent, by segment, and what they are expected to spend."""

from careloop.review import charts
from careloop.review.figures import columns, growth, has, reasons_of, share, total
from careloop.review.model import Chart, Section, Sentence, Table
from careloop.review.reader import Reader, Row
from careloop.review.words import Words, words_of

SHOWN = 7  # periods of the trend


def build(reader: Reader) -> Section | None:
    """Spend of the period by the segment the buyers had when it began; predictions of today."""
    if not has(reader, "rpt_value", "dim_customers", "fct_model_runs"):
        return None
    say = words_of(reader, "value")
    rows = reader.rows(
        "from rpt_value where period_type = $period_type "
        "and period_start in ($first_day, $previous_first_day)"
    )
    now = {r["segment"]: r for r in rows if r["period_start"] == reader.period.first_day}
    before = {r["segment"]: r for r in rows if r["period_start"] != reader.period.first_day}
    today = {r["segment"]: r for r in _today(reader)}
    sentences = (
        *_spend(say, reader, now, before),
        *_lifetime(say, today),
        *_model(say, reader, today),
    )
    blocks = (*_trend(say, reader), _table(say, reader, now, before, today))
    return Section("value", say("title"), sentences, blocks)


def _today(reader: Reader) -> list[Row]:
    return reader.rows(
        "select segment, count(*) as customers, count(predicted_value) as predicted, "
        "sum(predicted_value) as predicted_value, "
        "sum(spend_total) filter (where predicted_value is not null) + sum(predicted_value) "
        "as lifetime_value, min(value_method) as value_method, min(value_note) as value_note "
        "from dim_customers group by segment order by segment"
    )


def _spend(
    say: Words, reader: Reader, now: dict[str, Row], before: dict[str, Row]
) -> list[Sentence]:
    if not now:
        return [Sentence("info", say("nothing"))]
    spend, buyers = total(now.values(), "spend"), total(now.values(), "buyers")
    new = total(now.values(), "new_buyers")
    values = {
        "spend": say.short_money(spend),
        "buyers": say.number(buyers),
        "new": say.number(new),
        "period": say.period(reader.period.first_day, reader.period.kind),
    }
    change = growth(spend, total(before.values(), "spend"))
    is_over = all(row["is_over"] for row in now.values())
    found = []
    if change is None or not is_over:
        found.append(Sentence("info", say("spend" if is_over else "spend_running", **values)))
    else:
        tone = "good" if change > 0 else "bad" if change < 0 else "info"
        text = say("spend_change", change=say.relative(change, 1), **values)
        found.append(Sentence(tone, text, 45 + min(14, 100 * abs(change))))
    top = max(now.values(), key=lambda r: (r["spend"], r["segment"]))
    values = {"segment": say.member("segment", top["segment"])}
    values |= {"x": say.share(top["spend_share"]), "y": say.share(share(top["buyers"], buyers))}
    return [*found, Sentence("info", say("top", **values))]


def _lifetime(say: Words, today: dict[str, Row]) -> list[Sentence]:
    known = [r for r in today.values() if r["predicted"]]
    if not known:
        return []
    values = {
        "x": say.short_money(total(known, "predicted_value")),
        "n": say.number(total(known, "predicted")),
    }
    return [Sentence("info", say("lifetime", **values))]


def _model(say: Words, reader: Reader, today: dict[str, Row]) -> list[Sentence]:
    """Whether the model of lifetime value passed its test, and what is used if it did not."""
    runs = reader.rows(
        "from fct_model_runs where as_of_on <= $end_day order by as_of desc, model_run desc limit 1"
    )
    method = next((r["value_method"] for r in today.values() if r["value_method"]), None)
    if not runs or method is None:
        return [Sentence("info", say("no_prediction"))]
    run = runs[0]
    if run["is_used"]:
        values = {"error": say.share(run["holdout_error"]), "day": say.date(run["as_of_on"])}
        known = run["holdout_error"] is not None
        return [Sentence("good", say("model_used" if known else "model_used_plain", **values))]
    values = {"reasons": reasons_of(say, run), "how": say(f"method_{method.split()[0]}")}
    return [Sentence("bad", say("model_not_used", **values), 34)]


def _trend(say: Words, reader: Reader) -> list[Chart]:
    sums = reader.rows(
        "select period_start, bool_and(is_over) as is_over, sum(spend) as spend, "
        "sum(spend_known) as spend_known from rpt_value "
        "where period_type = $period_type and period_start <= $first_day "
        "and period_start > $first_day - to_months($months) "
        "group by period_start order by period_start desc",
        {"months": SHOWN * (3 if reader.period.kind == "quarter" else 1)},
    )
    if len(sums) < 2:
        return []
    kind = reader.period.kind
    rows = [
        {
            "period": say.short_period(row["period_start"], kind),
            "value": value,
            "series": series,
            "is_over": row["is_over"],
        }
        for row in reversed(sums)
        for series, value in (
            (say("known"), row["spend_known"]),
            (say("new"), row["spend"] - row["spend_known"]),
        )
    ]
    read = [
        f"{say.short_period(r['period_start'], kind)} {say.short_money(r['spend'])}"
        for r in reversed(sums)
    ]
    about = say("trend_alt", list=say.listing(read))
    return [Chart("spend", say("trend"), charts.trend(say, rows, "money"), about)]


def _table(
    say: Words,
    reader: Reader,
    now: dict[str, Row],
    before: dict[str, Row],
    today: dict[str, Row],
) -> Table:
    order = [s.id for s in reader.program.segments]
    names = [*order, *sorted({*now, *today} - {*order, None})]
    is_over = all(row["is_over"] for row in now.values())
    rows = []
    for name in names:
        mine, old, people = now.get(name, {}), before.get(name, {}), today.get(name, {})
        if not mine and not people:
            continue
        rows.append(
            {
                "segment": say.member("segment", name),
                **{
                    key: mine.get(key, 0 if now else None)
                    for key in ("buyers", "new_buyers", "orders", "spend")
                },
                "spend_share": mine.get("spend_share"),
                "spend_before": old.get("spend"),
                "growth": growth(mine.get("spend"), old.get("spend")) if is_over else None,
                "customers": people.get("customers", 0),
                "predicted": share(people.get("predicted_value"), people.get("predicted")),
                "lifetime": share(people.get("lifetime_value"), people.get("predicted")),
            }
        )
    listed = columns(
        say,
        ("segment", "text"), ("buyers", "number"), ("new_buyers", "number"), ("orders", "number"),
        ("spend", "money"), ("spend_share", "share"), ("spend_before", "money"),
        ("growth", "share"), ("customers", "number"), ("predicted", "money"), ("lifetime", "money"),
    )  # fmt: skip
    return Table("value", say("table"), listed, tuple(rows), say("note"))
