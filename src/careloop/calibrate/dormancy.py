"""Days after which customers count as dormant or lost, by when customers come back.

Criterion: of all returns, ``calibration.dormant_share`` have happened before a customer counts as
dormant, and ``calibration.lost_share`` before one counts as lost. A return is the next day a
customer was seen on (bought, interacted, or either: ``activity.dormant_measure``). Only days long
enough ago are looked at, so that every one of them had the same time, the horizon, to be followed
by a return: else short intervals, which end sooner, would be found too often. The horizon is
``activity.lost_days`` for dormant (who comes back later is won anew) and twice that for lost, at
most half of the history; of the days that had it the latest ``profile.windows.long_days`` count.

SOURCE: quantiles of the times between purchases as the limit of churn, e.g. W. Buckinx and D. Van
den Poel, Customer base analysis: partial defection of behaviourally loyal clients, European Journal
of Operational Research 164 (2005); the equal horizon against length bias: J. P. Klein and M. L.
Moeschberger, Survival Analysis (2003), section 3.4 (right truncation).
"""

from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil, floor

from careloop.calibrate.draft import Draft
from careloop.calibrate.edit import Change, PackText
from careloop.calibrate.marts import Marts
from careloop.calibrate.model import Finding, Promise, Words
from careloop.calibrate.say import Given, Percent, say
from careloop.program.load import FILE

TABLE = "rpt_return_intervals"
KINDS = {"dormant_days": "dormant_share", "lost_days": "lost_share"}
# Times activity.lost_days in which a customer may come back.
HORIZONS = {"dormant_days": 1, "lost_days": 2}

_HISTORY = f"select min(month_start) from {TABLE}"
_RETURNS = f"""
select interval_days as days, sum(returns)::bigint as returns,
    min(month_start) as first_month, max(month_start) as last_month
from {TABLE}
where month_start + interval 1 month <= $last_start
    and month_start + interval 1 month > $last_start - to_days($window)
    and interval_days <= $horizon
group by interval_days order by interval_days
"""


@dataclass(frozen=True)
class Returns:
    """Returns by length, ascending. measure: what counts; horizon: longest length (days)."""

    days: tuple[int, ...]
    returns: tuple[int, ...]
    first_month: date
    last_month: date
    horizon: int

    @property
    def total(self) -> int:
        return sum(self.returns)

    def within(self, days: int) -> float:
        """Share of the returns that happened after at most so many days."""
        pairs = zip(self.days, self.returns, strict=True)
        return sum(n for d, n in pairs if d <= days) / self.total

    def days_for(self, share: float) -> int:
        """The fewest days within which at least this share of the returns happened."""
        seen = 0
        for days, number in zip(self.days, self.returns, strict=True):
            seen += number
            if seen >= share * self.total - 1e-9:
                return days
        raise ValueError(f"{share} is no share")


def returns(marts: Marts, kind: str) -> Returns | None:
    """When customers came back, to judge ``kind`` by; None without a history."""
    start = marts.one(_HISTORY) if marts.has(TABLE) else None
    if start is None:
        return None
    today = marts.as_of.date()
    longest = HORIZONS[kind] * marts.program.activity.lost_days
    horizon = min(longest, (today - start).days // 2)
    rows = marts.rows(
        _RETURNS,
        {
            "horizon": horizon,
            "last_start": today - timedelta(days=horizon),
            "window": marts.program.profile.windows.long_days,
        },
    )
    if not rows:
        return None
    return Returns(
        tuple(row["days"] for row in rows),
        tuple(row["returns"] for row in rows),
        min(row["first_month"] for row in rows),
        max(row["last_month"] for row in rows),
        horizon,
    )


def dormancy(marts: Marts, text: PackText) -> tuple[list[Draft], list[Finding]]:
    """Proposals for the days, and what is found without one."""
    rules = marts.program.calibration
    drafts: list[Draft] = []
    findings: list[Finding] = []
    for kind, criterion in KINDS.items():
        found = returns(marts, kind)
        if found is None or found.total < rules.min_cases:
            told = say(
                "few_returns",
                name=say(f"name_{kind}"),
                found=found.total if found else 0,
                needed=rules.min_cases,
            )
            findings.append(_finding(kind, told))
            continue
        draft, told = _judge(marts, text, found, kind, getattr(rules, criterion))
        drafts += [draft] if draft else []
        findings += [_finding(kind, told)] if told else []
    return _consistent(marts, drafts), findings


def _judge(
    marts: Marts, text: PackText, found: Returns, kind: str, share: float
) -> tuple[Draft | None, Words | None]:
    rules = marts.program.calibration
    now = getattr(marts.program.activity, kind)
    title = say(f"name_{kind}")
    if found.horizon < now * (1 + rules.max_threshold_change):
        return None, say("short_history", name=title, horizon=found.horizon, now=now)
    best = found.days_for(share)
    figures = {
        "measure": marts.program.activity.dormant_measure,
        "returns": found.total,
        "criterion": share,
        "days_by_criterion": best,
        "days_now": now,
        "share_within_now": round(found.within(now), 6),
        "first_month": found.first_month,
        "last_month": found.last_month,
        "horizon_days": found.horizon,
    }
    evidence = say(
        "days_evidence",
        share=Given(share),
        best=best,
        now=now,
        within=Percent(found.within(now)),
        returns=found.total,
        first=f"{found.first_month:%Y-%m}",
        last=f"{found.last_month:%Y-%m}",
        event=say(f"event_{marts.program.activity.dormant_measure}"),
    )
    low = ceil(round(now * (1 - rules.max_threshold_change), 6))
    high = floor(round(now * (1 + rules.max_threshold_change), 6))
    new = min(max(best, low), high)
    if abs(best - now) <= rules.share_tolerance * now or new == now:
        return None, say("days_fit", name=title, evidence=evidence)
    change = Change(FILE, ("activity", kind), now, new)
    draft = Draft(
        f"activity.{kind}",
        "dormancy",
        say("change_title", name=title, old=now, new=new),
        change,
        evidence,
        figures | {"share_within_proposed": round(found.within(new), 6)},
        found.total,
        promises=[
            Promise(
                f"returns_within:{kind}",
                round(found.within(now), 6),
                round(found.within(new), 6),
                round(found.within(new), 6),
            )
        ],
    )
    if new != best:
        draft.doubt("limited", best=best, most=Given(rules.max_threshold_change))
    if not text.is_own(FILE, change.keys):
        draft.caveats.append(say("extends"))
    return draft, None


def _consistent(marts: Marts, drafts: list[Draft]) -> list[Draft]:
    """Without those after which a customer would be lost before being dormant."""
    days = {kind: getattr(marts.program.activity, kind) for kind in KINDS}
    days |= {draft.change.keys[-1]: draft.change.new for draft in drafts}
    return drafts if days["lost_days"] > days["dormant_days"] else []


def _finding(name: str, text: Words) -> Finding:
    return Finding(f"dormancy.{name}", "dormancy", text)
