"""Keywords of a pack as patterns that look for them in what customers write.

A keyword in Latin letters stands for whole words whatever their case ("late" is not in
"translated"), `*` at the end of a word for any ending ("scratch*" finds "scratched"); one in
Chinese is found anywhere. A blank stands for any white space, `…` for up to 20 characters within
a sentence, an apostrophe for the curly one, too.
The patterns are understood by RE2 (DuckDB) and by Java (Spark).
"""

import re
from collections.abc import Iterable

_GAP = "[^.!?。！？\\n]{0,20}"
_STAR = re.compile(r"(?<![A-Za-z0-9])\*|\*(?![ …]|$)")


def keyword_mistake(word: str) -> str | None:
    """What is wrong with a keyword; None if nothing is."""
    if word != word.strip() or "  " in word:
        return "has blanks to spare"
    if "," in word or "，" in word:
        return "must not have a comma"
    if _STAR.search(word):
        return "may have * only at the end of a word in Latin letters"
    if not all(part.strip() for part in word.split("…")):
        return "needs words on both sides of …"
    return None


def keyword_pattern(word: str) -> str:
    """Pattern of one keyword; to be used without regard to case."""
    return _GAP.join(_part(part.strip()) for part in word.split("…"))


def any_pattern(words: Iterable[str]) -> str:
    """Pattern, whatever the case, that finds any of the keywords; empty without any."""
    found = "|".join(map(keyword_pattern, words))
    return f"(?i)(?:{found})" if found else ""


def _part(part: str) -> str:
    before = r"\b" if _is_latin(part[0]) else ""
    after = r"\b" if _is_latin(part[-1]) else ""
    return before + "".join(map(_letter, part)) + after


def _letter(letter: str) -> str:
    if letter in "'’":
        return "['’]"
    return {" ": r"\s+", "*": r"\w*"}.get(letter) or re.escape(letter)


def _is_latin(letter: str) -> bool:
    """A letter or digit that `\\b` tells from its neighbours in RE2."""
    return letter.isascii() and (letter.isalnum() or letter == "_")
