"""What a load did, as data and as text."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog.errors import InternalError
from catalog.status import LoadStatus

CONFLICT = "id_conflict"
"""The reason for a row whose id is stored with other content."""


@dataclass
class LoadReport:
    """The account of a load: `read = inserted + already_present + quarantined`, always.

    Attributes:
        file: the file's name.
        load_id: the id of the load; the same file with the same options has the same id.
        status: how far it has come.
        read: rows read.
        inserted: transactions inserted.
        already_present: rows whose transaction was already stored, with the same content.
        quarantined: rows refused.
        reasons: refused rows by reason.
        missing: clean rows that lack a value, by CSV column.
        seconds: how long it took, summed over all runs of this load.
        repeated: whether the file had already been loaded, so that nothing was done.
    """

    file: str
    load_id: str
    status: LoadStatus = LoadStatus.RUNNING
    read: int = 0
    inserted: int = 0
    already_present: int = 0
    quarantined: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    repeated: bool = False

    def add(
        self, read: int, inserted: int, present: int, reasons: Mapping[str, int], missing: Mapping[str, int]
    ) -> None:
        """Count a batch.

        Raises:
            InternalError: a row is not accounted for.
        """
        quarantined = sum(reasons.values())
        if read != inserted + present + quarantined:
            raise InternalError(f"{read} rows were read, but {inserted} + {present} + {quarantined} are accounted for.")
        self.read += read
        self.inserted += inserted
        self.already_present += present
        self.quarantined += quarantined
        self.reasons.update(reasons)
        self.missing.update(missing)

    @property
    def counts(self) -> dict[str, int]:
        """The four counts, as the load's document keeps them."""
        names = ("read", "inserted", "already_present", "quarantined")
        return {name: getattr(self, name) for name in names}

    @property
    def rows_per_second(self) -> int:
        """Rows read per second."""
        return round(self.read / self.seconds) if self.seconds else 0

    def exceeds(self, share: float) -> bool:
        """Whether more than `share` (0 to 1) of the rows read were refused."""
        return self.quarantined > share * self.read

    def as_document(self) -> dict[str, Any]:
        """The report for `--json`."""
        counted = {"reasons": dict(self.reasons), "missing": dict(self.missing)}
        figures = {"seconds": round(self.seconds, 2), "rows_per_second": self.rows_per_second}
        return {**vars(self), **counted, **figures}

    @classmethod
    def from_load(cls, load: Mapping[str, Any]) -> "LoadReport":
        """The report stored in a load's document."""
        return cls(
            load["file"], load["_id"], LoadStatus(load["status"]), **load["counts"],
            reasons=Counter(load["reasons"]), missing=Counter(load["missing"]), seconds=float(load["seconds"]),
        )  # fmt: skip

    def __str__(self) -> str:
        verb = "would be inserted" if self.status is LoadStatus.CHECKED else "inserted"
        lines = [
            f"{self.file}: {self.status}" + (", it was loaded before; nothing to do" if self.repeated else ""),
            f"  load              {self.load_id}",
            f"  rows read         {self.read:>12,}",
            f"  {verb:<17} {self.inserted:>12,}",
            f"  already present   {self.already_present:>12,}",
            f"  quarantined       {self.quarantined:>12,}",
            *(f"    {reason:<15} {count:>12,}" for reason, count in sorted(self.reasons.items())),
            "  missing values",
            *(f"    {column:<17}{count:>11,}" for column, count in self.missing.items()),
            f"  {self.seconds:.1f} s, {self.rows_per_second:,} rows/s",
        ]
        return "\n".join(lines)
