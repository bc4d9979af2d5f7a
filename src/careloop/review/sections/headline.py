"""What went well and what failed, most important first, from the sentences of all sections."""

from dataclasses import replace

from careloop.review.model import Column, Section, Sentence, Table
from careloop.review.reader import Reader, Row
from careloop.review.targets import STATES, judged, title, whole
from careloop.review.words import Words, words_of

MOST = 3
NAMED = 4


def build(reader: Reader, sections: list[Section]) -> Section:
    """The headline of the other sections: at most three good, three bad; what isn't final."""
    say = words_of(reader, "headline")
    rows = whole(judged(reader))
    found = [
        replace(sentence, section=section.id)
        for section in sections
        for sentence in _all(section)
        if sentence.rank > 0
    ]
    picked: list[Sentence] = []
    for tone in ("good", "bad"):
        of_tone = [sentence for sentence in found if sentence.tone == tone]
        of_tone.sort(key=lambda sentence: -sentence.rank)
        picked += of_tone[:MOST] or [Sentence(tone, say(f"none_{tone}"))]
    return Section(
        "headline",
        say("title"),
        (*picked, *_caveats(reader, say, rows)),
        (_counts(say, rows),) if rows else (),
    )


def _all(section: Section) -> list[Sentence]:
    parts = [sentence for part in section.sections for sentence in _all(part)]
    return [*section.sentences, *parts]


def _caveats(reader: Reader, say: Words, rows: list[Row]) -> list[Sentence]:
    """What isn't over and what can't be judged."""
    texts = []
    period = reader.period
    if reader.until < period.end_day:
        name = say.period(period.first_day, period.kind)
        texts.append(say("running", period=name, day=say.date(reader.until)))
    else:
        running = [title(say, row) for row in rows if not row["is_over"]]
        if running:
            texts.append(say("not_final", kpis=_names(say, running)))
    unknown = [title(say, row) for row in rows if row["state"] == "not_enough_data"]
    if unknown:
        texts.append(say("unknown", n=len(unknown), kpis=_names(say, unknown)))
    return [Sentence("info", text, section="kpis") for text in texts]


def _names(say: Words, names: list[str]) -> str:
    once = list(dict.fromkeys(names))
    if len(once) > NAMED + 1:
        once = [*once[:NAMED], say("and_more", n=len(once) - NAMED)]
    return say.listing(once)


def _counts(say: Words, rows: list[Row]) -> Table:
    columns = (Column("state", say("state"), "state"), Column("targets", say("count"), "number"))
    lines = tuple(
        {"state": state, "targets": sum(row["state"] == state for row in rows)} for state in STATES
    )
    return Table("targets_by_state", say("targets"), columns, lines)
