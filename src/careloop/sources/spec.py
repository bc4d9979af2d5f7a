"""``source.yml``: how one source's files or tables become canonical entities."""

import difflib
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from careloop.contract import Entity, entities
from careloop.errors import SourceError


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class Edits(BaseModel):
    """A file careloop wrote and people edited: only what they changed is read."""

    model_config = ConfigDict(extra="forbid")

    column: str = Field(description="The hidden column with each row's key and fingerprints")
    names: dict[str, Literal["staff", "customers"]] = Field(
        default_factory=dict,
        description="canonical column: whose id or name its cells hold",
    )
    keep_first: list[str] = Field(
        default_factory=list, description="Columns whose loaded value stays unless it is cleared"
    )
    keep_if_blank: list[str] = Field(
        default_factory=list, description="Columns that nothing clears"
    )
    skip_repeated: str | None = Field(
        None, description="Column; a row that repeats the latest one in it is left out"
    )


class Mapping(BaseModel):
    """How one file, table or query of a source becomes rows of one canonical entity."""

    model_config = ConfigDict(extra="forbid")

    file: str | None = Field(None, description="Glob of files, relative to the source's folder")
    table: str | None = Field(None, description="Table of the source's database")
    query: str | None = Field(
        None, description="SQL over the file (as `source`), or over the source's database"
    )
    cursor: str | None = Field(
        None,
        description="Growing column of a database table; only rows from its last value are read",
    )
    sheet: str | None = Field(None, description="Sheet of an Excel workbook; the first if unset")
    encoding: str | None = Field(None, description="Overrides the source's encoding")
    delimiter: str | None = Field(None, description="Overrides the source's delimiter")
    where: str | None = Field(None, description="SQL condition over the columns read")
    columns: dict[str, str | None] = Field(
        default_factory=dict,
        description="canonical column: SQL expression; null leaves a column of the same name out",
    )
    edits: Edits | None = Field(
        None, description="The file was written by careloop: read only what was edited in it"
    )

    @field_validator("columns", mode="before")
    @classmethod
    def _expressions(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: None if v in ("", "~", "null") else v for k, v in value.items()}


class Source(BaseModel):
    """A folder with exports or the address of a database, and its mappings by entity."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    about: str = ""
    zone: str = Field(description="IANA zone of times that carry no offset")
    encoding: str = "utf-8"
    delimiter: str = ","
    database_url_env: str | None = Field(
        None, description="Name of the environment variable with the database's URL"
    )
    folder_env: str | None = Field(
        None, description="Name of the environment variable that may say where the files are"
    )
    entities: dict[str, Annotated[list[Mapping], BeforeValidator(_as_list)]]
    folder: Path = Field(default=Path(), exclude=True)

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(
                f"{value!r} is no IANA time zone, such as Asia/Shanghai or Europe/London"
            ) from error
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError as error:
            raise ValueError(f"{value!r} is no known encoding, such as utf-8 or gb18030") from error
        return value

    @model_validator(mode="after")
    def _known_names(self) -> "Source":
        known = entities()
        for name, mappings in self.entities.items():
            if name not in known:
                raise ValueError(f"entities.{name}: no such entity; {_suggest(name, known)}")
            for position, mapping in enumerate(mappings):
                where = f"entities.{name}[{position}]"
                if (mapping.file is None) == (self.database_url_env is None):
                    raise ValueError(
                        f"{where}: give `file`, or `table` or `query` with `database_url_env`"
                    )
                if mapping.file is None and (mapping.table is None) == (mapping.query is None):
                    raise ValueError(f"{where}: give either `table` or `query`")
                for column in mapping.columns:
                    if column not in known[name].columns:
                        hint = _suggest(column, known[name].columns)
                        raise ValueError(f"{where}.columns.{column}: no such column; {hint}")
                if mapping.edits:
                    _check_edits(mapping, known[name], where)
        return self

    def mapping_hash(self, entity: str, mapping: Mapping) -> str:
        """Identifies what a mapping does, so that a changed mapping loads its files anew."""
        settings = [self.name, self.zone, mapping.encoding or self.encoding, entity]
        unset = {"file"} if mapping.edits else {"file", "edits"}
        body = json.dumps([*settings, mapping.model_dump(exclude=unset)], sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()


def _check_edits(mapping: Mapping, entity: Entity, where: str) -> None:
    edits = mapping.edits
    if edits is None:
        return
    if entity.merge == "columns" or mapping.file is None or mapping.query is not None:
        raise ValueError(f"{where}.edits: only for a file without query, and not for {entity.name}")
    named = [*edits.names, *edits.keep_first, *edits.keep_if_blank]
    for column in [*named, *([edits.skip_repeated] if edits.skip_repeated else [])]:
        if column not in mapping.columns:
            hint = _suggest(column, mapping.columns)
            raise ValueError(f"{where}.edits.{column}: not among its columns; {hint}")


def _suggest(name: str, allowed: Any) -> str:
    close = difflib.get_close_matches(name, list(allowed), n=1)
    listed = ", ".join(allowed)
    return (f"did you mean {close[0]}? " if close else "") + f"allowed: {listed}"


def load_source(folder: Path) -> Source:
    """The source described by ``folder/source.yml``; raises SourceError naming the place."""
    path = folder / "source.yml"
    if not path.is_file():
        raise SourceError(
            f"{path} does not exist", "a source is a folder with its exports and a source.yml"
        )
    try:
        # Plain texts only: a column called `no` or `on` must not become false or true.
        body = yaml.load(path.read_text("utf-8-sig"), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(body, dict):
        raise SourceError(f"{path} is empty or not a mapping", "see `careloop source --help`")
    try:
        source = Source.model_validate(body)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, e['loc'])) or 'source'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        ]
        raise SourceError(f"{path}: " + "; ".join(problems)) from error
    return source.model_copy(update={"folder": folder.resolve()})
