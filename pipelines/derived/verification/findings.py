"""The results of a verification, as data."""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from catalog.calendar import Period
from store.client import Document

SHOWN = 20
"""The number of differences that are shown."""


RESTORE = "restore a backup, or load all files into a new database"


def reload(load_id: str) -> str:
    """The remedy for rows of a load that a refresh cannot repair."""
    return f"run `python -m loader remove {load_id}`, then load its file again"


@dataclass(frozen=True)
class Difference:
    """A difference between what is stored and what should be.

    Attributes:
        period: the month or year, or else the collection.
        what: the rollup's slice and cell, the page, the field, the load.
        stored, expected: what is stored, and what should be.
        remedy: what to do; empty if `--repair` repairs it: derived data and missing customers.
    """

    period: str
    what: str
    stored: str
    expected: str
    remedy: str = ""


@dataclass
class Verification:
    """The result of a verification.

    Attributes:
        data_version: the data version at its start.
        months, years, cells, rows: how many were compared.
        stale: how many months were not compared, as they are stale.
        differences: how many there are; `shown` has some of them, those first that a repair cannot fix.
        lasting: how many of them are in loaded data, so that a repair cannot fix them.
        repaired: how many periods were marked to be rebuilt, and customers were recreated.
    """

    data_version: int
    months: int = 0
    years: int = 0
    cells: int = 0
    rows: int = 0
    stale: int = 0
    differences: int = 0
    lasting: int = 0
    shown: list[Difference] = field(default_factory=list)
    repaired: int = 0
    verified_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def ok(self) -> bool:
        """Whether no difference was found."""
        return not self.differences

    def summary(self) -> Document:
        """The summary that is stored in the database and shown in replies."""
        document = asdict(self) | {"ok": self.ok}
        del document["shown"]
        return document

    def add(self, checked: "Checked") -> None:
        """Count what was compared, and what differs."""
        self.months += checked.months
        self.years += checked.years
        self.cells += checked.cells
        self.rows += checked.rows
        self.stale += checked.stale
        self.differences += len(checked.differences)
        self.lasting += sum(bool(each.remedy) for each in checked.differences)
        self.shown = sorted([*self.shown, *checked.differences], key=lambda each: not each.remedy)[:SHOWN]


@dataclass
class Checked:
    """What was compared in one step, and what differs.

    Attributes:
        customerless: the ids of missing customers and profiles.
        wrong: the periods to rebuild.
        strays: derived documents that belong to no period: a collection and a condition each.
    """

    months: int = 0
    years: int = 0
    cells: int = 0
    rows: int = 0
    stale: int = 0
    differences: list[Difference] = field(default_factory=list)
    customerless: list[int] = field(default_factory=list)
    wrong: list[Period] = field(default_factory=list)
    strays: list[tuple[str, Document]] = field(default_factory=list)

    def gather(self, other: "Checked") -> None:
        """Add what another step found to be repaired."""
        self.wrong += other.wrong
        self.strays += other.strays
        self.customerless += other.customerless
