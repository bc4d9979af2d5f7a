"""Settings of one installation: where things are, which program runs, which sources feed it.

Read, in this order, from arguments, environment variables (``CARELOOP_…``) and
``careloop.toml`` in the working directory. Secrets come from the environment only.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from careloop.errors import SettingsError

PROJECT_ROOT = Path(__file__).resolve().parents[2]


class AlertSettings(BaseModel):
    """``[alerts]``: the channels that tell people and the team what is due and late."""

    model_config = ConfigDict(extra="forbid")

    people: str = Field(default="staff", description="Channel of e-mails to single people")
    team: str = Field(default="team", description="Channel of the team, mostly a robot in a chat")
    team_address: str | None = Field(
        default=None, description="The team's e-mail address, where its channel is smtp"
    )


class Settings(BaseSettings):
    """home: everything careloop writes. program: name of a pack under ``programs``, or a
    path to one. sources: folders with a ``source.yml`` each."""

    model_config = SettingsConfigDict(
        env_prefix="CARELOOP_", toml_file="careloop.toml", extra="forbid"
    )

    _room: str = PrivateAttr("build")
    home: Path = Path("data")
    program: str = "retail_care"
    sources: list[Path] = Field(default_factory=list)
    threads: int | None = Field(
        default=None, ge=1, description="DuckDB threads; all cores if unset"
    )
    memory_limit: str = "3GB"
    keep_versions: int = Field(default=14, ge=1)
    keep_days: int = Field(default=30, ge=1)
    publish_parquet: bool = False
    catch_up_days: int = Field(
        default=14, ge=0, description="Missed days that are decided afterwards, at most"
    )
    ledger_url: str | None = Field(
        default=None, description="SQLAlchemy URL of the ledger; a SQLite file in home if unset"
    )
    channels: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="How each channel sends: its `type` and options; a dry run into files if unset",
    )
    alerts: AlertSettings = Field(
        default_factory=AlertSettings, description="Who is told of what is due, and how"
    )
    browser: str | None = Field(
        default=None,
        description="Chromium, Chrome or Edge that prints PDFs: a path or a name on PATH; "
        "the first one found if unset",
    )
    sender_name: str | None = Field(
        default=None, max_length=60, description="The company, as customers know it"
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s]+$",
        description="Where the receiver of unsubscribe links is reached from outside",
    )
    survey_url: str | None = Field(
        default=None, pattern=r"^https?://[^\s]+$", description="The company's questionnaire"
    )
    shop_url: str | None = Field(
        default=None, pattern=r"^https?://[^\s]+$", description="Where customers order"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def lake(self) -> Path:
        """Immutable batches, one folder each: ``lake/<entity>/<batch>/``."""
        return self.home / "lake"

    def apart(self, room: str) -> "Settings":
        """The same installation for work beside the refresh: in a folder ``home/<room>`` with a
        lock and working files of its own, so that neither disturbs the other."""
        other = self.model_copy()
        other._room = room
        return other

    @property
    def build(self) -> Path:
        """Private working files of the run under way; rebuilt by every run."""
        return self.home / self._room

    @property
    def lock(self) -> Path:
        """File that whoever works in ``build`` holds."""
        return (self.home if self._room == "build" else self.build) / ".lock"

    @property
    def spill(self) -> Path:
        """Where DuckDB puts what doesn't fit into memory."""
        return (self.home if self._room == "build" else self.build) / "tmp"

    @property
    def warehouse(self) -> Path:
        """Private DuckDB file: raw views, program tables, staging and intermediate models."""
        return self.build / "warehouse.duckdb"

    @property
    def marts(self) -> Path:
        """DuckDB file the marts are built in before they are published."""
        return self.build / "marts.duckdb"

    @property
    def published(self) -> Path:
        """Published versions and the ``marts.duckdb`` link to the current one."""
        return self.home / "published"

    @property
    def decisions(self) -> Path:
        """Archive of every day's decisions, one Parquet file per as_of."""
        return self.home / "decisions"

    @property
    def reports(self) -> Path:
        """HTML reports, one folder per run."""
        return self.home / "reports"


def load_settings(**overrides: object) -> Settings:
    """Settings with ``overrides`` (None is ignored) on top; raises SettingsError."""
    try:
        settings = Settings(**{k: v for k, v in overrides.items() if v is not None})
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise SettingsError(
            "careloop's settings are wrong: " + "; ".join(lines),
            "see careloop.toml and the CARELOOP_… environment variables",
        ) from error
    return settings.model_copy(update={"home": settings.home.resolve()})
