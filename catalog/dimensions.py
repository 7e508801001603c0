"""The ten dimensions: what a purchase can be grouped and filtered by.

Everything below the labels works on *codes*: small integers, one for each member of a dimension. A
reference id is its own code, an hour too, a fixed label's code is its position here, and a date's
code is its day number (days since 1970-01-01).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

UNKNOWN = "Unknown"
_EPOCH = date(1970, 1, 1)

STATES = tuple(
    """Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois|
Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|Montana|
Nebraska|Nevada|New Hampshire|New Jersey|New Mexico|New York|North Carolina|North Dakota|Ohio|Oklahoma|Oregon|
Pennsylvania|Rhode Island|South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|West Virginia|
Wisconsin|Wyoming""".replace("\n", "").split("|")
)


@dataclass(frozen=True, eq=False)
class Dimension:
    """One way to group and filter transactions. Each is itself only: compared, and hashed, by identity.

    Attributes:
        name: the parameter and the column, such as `payment_method`.
        label: what a person reads.
        field: the field of a transaction that holds it.
        column: the CSV column that it comes from.
        members: the labels in the order of their codes; those a new database begins with, where `collection` is set.
        collection: the reference collection that holds the members, or None where they are fixed.
    """

    name: str
    label: str
    field: str
    column: str
    members: tuple[str, ...] = ()
    collection: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether a load may add members."""
        return self.collection is not None

    def code(self, stored: Any) -> int:
        """The code of a value as a transaction stores it."""
        if isinstance(stored, str):
            return self.members.index(stored)
        if isinstance(stored, datetime):
            return (stored.date() - _EPOCH).days
        return int(stored)

    def stored(self, code: int) -> Any:
        """The value that a transaction stores for `code`."""
        if self is DATE:
            return day_of(code)
        return code if self.is_open or self is HOUR else self.members[code]

    def label_of(self, code: int, vocabulary: "Vocabulary") -> str | int:
        """What a reply shows for `code`: a label, an hour 0-23, or a date YYYY-MM-DD."""
        if self is DATE:
            return iso_date(code)
        return code if self is HOUR else vocabulary[self.name][code]


Vocabulary = Mapping[str, Sequence[str]]
"""The members of each dimension that has labels, by its name, in the order of their codes."""

SEGMENT = Dimension(
    "segment", "Customer segment", "segment_id", "Segment",
    (UNKNOWN, "Basic", "Gold", "Missing", "Platinum", "Silver"), "segments",
)  # fmt: skip
PAYMENT_METHOD = Dimension(
    "payment_method", "Payment method", "payment_method_id", "Payment_method",
    (UNKNOWN, "Card", "Other", "PayPal"), "payment_methods",
)  # fmt: skip
GENDER = Dimension("gender", "Gender", "gender", "Gender", (UNKNOWN, "Female", "Male"))
MARITAL_STATUS = Dimension(
    "marital_status", "Marital status", "marital_status", "Marital_status", (UNKNOWN, "Married", "Single")
)
STATE = Dimension("state", "State", "state_id", "State_names", (UNKNOWN, *STATES), "states")
REFERRAL = Dimension("referral", "Referral", "referral", "Referral", (UNKNOWN, "Non-referral", "Referral"))
EMPLOYMENT_STATUS = Dimension(
    "employment_status", "Employment status", "employment_status_id", "Employees_status",
    (UNKNOWN, "Employees", "Self-Employed", "Unemployment", "Workers"), "employment_status",
)  # fmt: skip
AGE_GROUP = Dimension(
    "age_group", "Age group", "age_group", "Age",
    (UNKNOWN, "Under 18", "18-24", "25-34", "35-44", "45-54", "55-64", "65+"),
)  # fmt: skip
HOUR = Dimension("hour", "Hour of day", "hour", "Transaction_date", tuple(str(hour) for hour in range(24)))
DATE = Dimension("date", "Date", "day", "Transaction_date")

FILTERABLE = (
    SEGMENT, PAYMENT_METHOD, GENDER, MARITAL_STATUS, STATE, REFERRAL, EMPLOYMENT_STATUS, AGE_GROUP, HOUR,
)  # fmt: skip
"""The dimensions that have members to filter by; a date is filtered by `from` and `to` instead."""

DIMENSIONS = (*FILTERABLE, DATE)
REFERENCES = tuple(dimension for dimension in FILTERABLE if dimension.is_open)
BY_NAME = {dimension.name: dimension for dimension in DIMENSIONS}

_AGE_BOUNDS = ((18, "Under 18"), (25, "18-24"), (35, "25-34"), (45, "35-44"), (55, "45-54"), (65, "55-64"))


def age_group(age: int | None) -> str:
    """The age group's label for an age in whole years; `Unknown` for None."""
    if age is None:
        return UNKNOWN
    return next((label for bound, label in _AGE_BOUNDS if age < bound), "65+")


def date_of(day_number: int) -> date:
    """The date of a day number."""
    return _EPOCH + timedelta(days=day_number)


@lru_cache(maxsize=1 << 15)
def iso_date(day_number: int) -> str:
    """A day number as YYYY-MM-DD."""
    return date_of(day_number).isoformat()


def day_number(day: date) -> int:
    """Days from 1970-01-01 to `day`."""
    return (day - _EPOCH).days


def day_of(number: int) -> datetime:
    """The stored form of a day number: its midnight. MongoDB's dates are UTC; here that is the store's wall clock."""
    return datetime.combine(date_of(number), datetime.min.time(), UTC)
