"""Decisions as sentences in both languages."""

import json
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from careloop.contract import entities
from careloop.explain.read import Row, Silent
from careloop.program.channels import ADDRESS
from careloop.program.model import Program
from careloop.program.rule_words import RuleWords

UNKNOWN = "–"
_KINDS = {"preferred_channel": "channels", "churn_level": "alert_levels"}


@cache
def _words() -> dict[str, Any]:
    return yaml.safe_load(files("careloop.explain").joinpath("words.yml").read_text("utf-8"))


class Sentences:
    """Reads out decisions of a program. lang: en or zh."""

    def __init__(self, program: Program, lang: str) -> None:
        self.lang = lang
        self.zone = ZoneInfo(program.zone)
        self.rules = RuleWords(program, lang)

    def word(self, name: str, **values: Any) -> str:
        """A word or sentence of the page; a name without one stays."""
        entry = _words()["words"].get(name)
        return entry[self.lang].format(**values) if entry else name

    def outcome(self, row: Row) -> str:
        """What was decided, e.g. ``message by sms, from 09:00``."""
        return _words()["outcomes"][row["outcome"]][self.lang].format(
            channel=self.rules.channel(row["channel"]) if row["channel"] else UNKNOWN,
            who=row["owner_id"] or self.rules.role(row["owner_role"] or ""),
            due=self._moment(row["due_at"]),
            from_time=self._moment(row["not_before"]),
        )

    def why(self, row: Row) -> str:
        """Why it was stopped and until when; nothing for what goes out."""
        if row["gate"] is None:
            return ""
        text = self._gate(row["gate"], row, "stopped")
        if row["eligible_on"] is not None:
            text += self.word("then") + self.word("again", day=row["eligible_on"])
        return text

    def gates(self, row: Row) -> list[tuple[str, bool | None, str]]:
        """Title, whether it was passed (None: not reached) and the inputs, of every gate."""
        found = json.loads(row["gates"])
        result = []
        for gate, entry in _words()["gates"].items():
            inputs = found.get(gate)
            ok = None if inputs is None else bool(inputs["ok"])
            told = "" if inputs is None else self._gate(gate, row, "passed" if ok else "stopped")
            result.append((entry["title"][self.lang], ok, told))
        return result

    def silent(self, silent: Silent) -> str:
        """Why a rule did not come up."""
        if silent.not_in:
            column, wanted, actual = silent.not_in
            return self.word(
                "not_in",
                column=self.word(column),
                wanted=self.rules.names([self._member(column, name) for name in wanted]),
                actual=self._member(column, actual) if actual else UNKNOWN,
            )
        return self.word("no_occasion", trigger=self.rules.trigger(silent.rule, short=True))

    def occasion(self, occasion: str) -> str:
        """What set it off, e.g. ``an order is shipped O1000``."""
        what, _, which = occasion.partition(":")
        title = self.word(what) if what == "turn" else self.rules.word(what)
        return f"{title} {which.replace(':', ' ')}".strip()

    def _member(self, column: str, name: str) -> str:
        return self.rules.member(_KINDS.get(column, f"{column}s"), name)

    def state(self, story: Row | None) -> str:
        """What became of a message or task; nothing before it is planned."""
        if story is None:
            return ""
        text = f"{self.word(story['state'])} {self._moment(story['state_at'])}"
        # That it was too late the state says already.
        told = story["detail"] if story["state"] != "expired" else None
        return f"{text} ({told})" if told else text

    def _gate(self, gate: str, row: Row, state: str) -> str:
        inputs = json.loads(row["gates"]).get(gate) or {}
        values = {name: self._value(value) for name, value in inputs.items()}
        if inputs.get("cooldown"):
            values["cooldown"] = self.rules.duration(inputs["cooldown"])
        if inputs.get("reasons"):
            values["reasons"] = self.rules.names(
                list(map(self.word, inputs["reasons"].split(", ")))
            )
        if inputs.get("waits_for_another"):
            state = "another"
        sentence = _words()["gates"][gate][state][self.lang]
        return sentence.format_map(_Known(values | {"purpose": self.rules.word(row["purpose"])}))

    def _reason(self, reason: str) -> str:
        """Why an address is not used; of soft bounces there is a number before."""
        number, _, rest = reason.partition(" ")
        return self.word("soft bounces", n=number) if rest == "soft bounces" else self.word(reason)

    def _value(self, value: Any) -> str:
        if value is None:
            return UNKNOWN
        if isinstance(value, dict) and {"used", "most", "per"} <= value.keys():
            per = self.rules.duration(value["per"])
            return self.word("cap", used=value["used"], most=value["most"], per=per)
        if isinstance(value, dict):
            named = [f"{self._key(key)} {self._value(item)}" for key, item in value.items()]
            return self.rules.names(named)
        if isinstance(value, list):
            return self.rules.names(list(map(self._value, value))) or self.word("none")
        text = str(value)
        if len(text) == 20 and text[10] == "T" and text.endswith("Z"):
            return self._moment(datetime.fromisoformat(text).replace(tzinfo=None))
        return self.rules.channel(text) if text in ADDRESS else self.word(text)

    def _key(self, name: str) -> str:
        """An entity by its title, a cap by what it counts."""
        if name in entities():
            return entities()[name].title[self.lang]
        cap = next((c for c in self.rules.program.caps.limits if c.id == name), None)
        return "+".join(self.rules.counted(cap)) or self.word("all") if cap else name

    def _moment(self, utc: datetime | None) -> str:
        if utc is None:
            return UNKNOWN
        return f"{utc.replace(tzinfo=UTC).astimezone(self.zone):%Y-%m-%d %H:%M}"


class _Known(dict[str, str]):
    """What a sentence asks for and a gate did not say is unknown."""

    def __missing__(self, key: str) -> str:
        return UNKNOWN
