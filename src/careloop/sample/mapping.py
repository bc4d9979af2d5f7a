"""Writes each source's ``source.yml`` from its template, fitted to the shipped format."""

import re
from importlib.resources import files
from pathlib import Path

from careloop.sample.exports import EXPORTS

_TIME = re.compile(r"time\((\w+)\)")


def write_mapping(folder: Path, source: str, parquet: bool) -> None:
    """``folder/source.yml`` of ``source``; `<query>` in the template stands for its file."""
    text = files("careloop.sample").joinpath(f"sql/{source}/source.yml").read_text("utf-8")
    for export in EXPORTS:
        if export.source == source:
            suffix = Path(export.file(parquet)).suffix
            text = text.replace(f"<{export.query}>", f"{export.query}*{suffix}")
    # Parquet has real times; in CSV they are text
    pattern = r"\1" if parquet else r"strptime(\1, '%Y/%m/%d %H:%M:%S')"
    (folder / "source.yml").write_text(_TIME.sub(pattern, text), "utf-8")
