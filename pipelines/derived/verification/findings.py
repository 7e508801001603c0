"""What a verification found, as data."""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from catalog.calendar import Period
from store.client import Document

SHOWN = 20
"""So many differences are told in full."""


RESTORE = "restore a backup, or load all files into a new database"


def reload(load_id: str) -> str:
    """What mends the rows of a load that no refresh mends."""
    return f"run `python -m loader remove {load_id}`, then load its file again"


@dataclass(frozen=True)
class Difference:
    """Something that is not as it should be.

    Attributes:
        period: the month or year, or the collection where it is of none.
        what: the rollup's slice and cell, the page, the field, the load.
        stored, expected: what is there, and what should be.
        remedy: what mends it; empty where `--repair` does: derived data, and customers that are gone.
    """

    period: str
    what: str
    stored: str
    expected: str
    remedy: str = ""


@dataclass
class Verification:
    """What a verification found.

    Attributes:
        data_version: of the data it began with.
        months, years, cells, rows: how many were compared.
        stale: the months that were not, as they wait for a refresh.
        differences: how many there are; `shown` tells some of them, those first that no repair mends.
        lasting: how many of them are in what was loaded, so that no repair mends them.
        repaired: how many periods were marked to be built anew, and customers were made again.
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
        """Whether everything is as it should be."""
        return not self.differences

    def summary(self) -> Document:
        """What is kept in the database and shown in replies."""
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
    """What was compared at a time, and what differs.

    Attributes:
        customerless: the customers that are gone: those of transactions, and profiles.
        wrong: the periods to be built anew.
        strays: documents of derived data that belong to nothing: a collection and a condition each.
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
        """Take over what of another is to be mended."""
        self.wrong += other.wrong
        self.strays += other.strays
        self.customerless += other.customerless
