"""The text of a PDF as a reader would copy it, for PDFs as Chromium (Skia) writes them: flate
streams, fonts with a ToUnicode map, ActualText. Enough to see whether Chinese came out right."""

import re
import zlib
from pathlib import Path

_PLACE = re.compile(rb"(\d{10}) 00000 n")
_HEAD = re.compile(rb"(\d+) 0 obj\s*(.*?)(?:\bstream\r?\n|\bendobj)", re.DOTALL)
_FONTS = re.compile(rb"/(F\d+) (\d+) 0 R")
_OPERATOR = re.compile(
    rb"/ActualText <([0-9A-Fa-f]+)>|\b(EMC)\b|/(F\d+) [\d.]+ Tf|"
    rb"<([0-9A-Fa-f\s]*)>|\(((?:\\.|[^\\()])*)\)"
)
_SHORT = re.compile(rb"<([0-9A-Fa-f]+)> <([0-9A-Fa-f]+)>\s")
_RANGE = re.compile(rb"<([0-9A-Fa-f]+)> <([0-9A-Fa-f]+)> <([0-9A-Fa-f]+)>")


class Pdf:
    """The objects of a PDF."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        self.objects: dict[int, bytes] = {}
        self.streams: dict[int, bytes] = {}
        table = data[int(data.rpartition(b"startxref")[2].split()[0]) :]
        for place in _PLACE.findall(table):
            head = _HEAD.match(data, int(place))
            assert head, f"no object at {place!r}"
            number = int(head[1])
            self.objects[number] = head[2]
            length = re.search(rb"/Length (\d+)(?! 0 R)", head[2])
            if length:
                self.streams[number] = data[head.end() : head.end() + int(length[1])]
        self.maps = {
            name: (4 if b"/Type0" in self.objects[int(number)] else 2, self._unicode(int(number)))
            for body in self.objects.values()
            if b"/Font <<" in body or b"/Font\n<<" in body
            for name, number in _FONTS.findall(body)
        }

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return sum(bool(re.search(rb"/Type /Page\b", body)) for body in self.objects.values())

    @property
    def text(self) -> str:
        """All text, without spaces and line ends: Skia sets them by position."""
        return "".join(self._shown(self.stream(n)) for n in self.objects if self._is_content(n))

    def stream(self, number: int) -> bytes:
        """The data of an object, unpacked."""
        raw = self.streams.get(number, b"")
        return zlib.decompress(raw) if b"/FlateDecode" in self.objects[number] else raw

    def _is_content(self, number: int) -> bool:
        body = self.objects[number]
        if b"/Image" in body or b"/Length1" in body or b"/FontFile" in body:
            return False
        return b" Tf" in self.stream(number)

    def _unicode(self, font: int) -> dict[int, str]:
        found = re.search(rb"/ToUnicode (\d+) 0 R", self.objects.get(font, b""))
        if not found:
            return {}
        table = self.stream(int(found[1]))
        glyphs: dict[int, str] = {}
        for block in re.findall(rb"beginbfchar(.*?)endbfchar", table, re.DOTALL):
            for code, text in _SHORT.findall(block + b"\n"):
                glyphs[int(code, 16)] = _utf16(text)
        for block in re.findall(rb"beginbfrange(.*?)endbfrange", table, re.DOTALL):
            for first, last, text in _RANGE.findall(block):
                for step in range(int(last, 16) - int(first, 16) + 1):
                    start = _utf16(text)
                    glyphs[int(first, 16) + step] = start[:-1] + chr(ord(start[-1]) + step)
        return glyphs

    def _shown(self, content: bytes) -> str:
        wide, glyphs = 4, {}
        parts: list[str] = []
        is_replaced = False
        for actual, end, font, codes, literal in _OPERATOR.findall(content):
            if actual:
                # One glyph may be of several signs (目 and the radical ⽬); this is the one meant.
                parts.append(_utf16(actual).removeprefix("\ufeff"))
                is_replaced = True
            elif end:
                is_replaced = False
            elif font:
                wide, glyphs = self.maps[font]
            elif codes and not is_replaced:
                digits = re.sub(rb"\s", b"", codes)
                numbers = [int(digits[i : i + wide], 16) for i in range(0, len(digits), wide)]
                parts += [glyphs.get(number, "\ufffd") for number in numbers]
            elif literal and not is_replaced:
                parts += [glyphs.get(byte, "") for byte in literal]
        return "".join(parts)


def _utf16(digits: bytes) -> str:
    return bytes.fromhex(digits.decode()).decode("utf-16-be")
