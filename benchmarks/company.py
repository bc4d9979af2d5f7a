"""The company measured: a sample CRM in Parquet and the lake careloop's own ingest makes of it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from careloop.sample import make_sample
from careloop.settings import Settings, load_settings

SEED = 7
AS_OF = date(2026, 11, 1)
# Midnight of AS_OF in Shanghai, the zone of the pack.
AS_OF_UTC = datetime(2026, 10, 31, 16, tzinfo=UTC).replace(tzinfo=None)
NEXT_DAY = AS_OF + timedelta(days=1)


@dataclass(frozen=True)
class Company:
    """A sample of ``customers`` customers under ``root``; home: where careloop works."""

    root: Path
    customers: int
    home: Path

    @classmethod
    def under(cls, folder: Path, customers: int) -> "Company":
        root = (folder / str(customers)).resolve()
        return cls(root, customers, root / "home")

    @property
    def crm(self) -> Path:
        return self.root / "crm"

    @property
    def sources(self) -> list[Path]:
        return [self.crm / "online", self.crm / "store"]

    @property
    def lake(self) -> Path:
        return self.home / "lake"

    @property
    def settings(self) -> Settings:
        return load_settings(home=self.home, program="retail_care", sources=self.sources)

    def make(self) -> None:
        """Make the CRM's exports, unless an earlier measurement left them."""
        if not (self.crm / "sample.json").exists():
            self.crm.mkdir(parents=True, exist_ok=True)
            make_sample(self.crm, self.customers, SEED, AS_OF, fmt="parquet")
