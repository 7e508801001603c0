"""An independent reference: answers any question from a CSV alone, with pandas, Decimal and whole numbers.

It shares neither code nor declarations with the product: labels and the first eleven queries are written down here; for
a later query, its caller adds the dimensions and the order to `QUESTIONS`. Do not make it import the product. A
question has the form that the product gets: a slug, and parameter names with their values as text.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

REVENUE, TRANSACTIONS, AVERAGE, KEY = "revenue", "transactions", "average_spend", None

Shape = tuple[tuple[str, ...], str | None, int | None]
"""Grouped by; ordered by, highest first (by the group itself if None); rows shown by default."""

QUESTIONS: dict[str, Shape] = {
    "revenue-by-segment": (("segment",), REVENUE, None),
    "transactions-by-payment-method": (("payment_method",), TRANSACTIONS, None),
    "average-spend-by-gender": (("gender",), AVERAGE, None),
    "revenue-by-marital-status": (("marital_status",), REVENUE, None),
    "top-states": (("state",), REVENUE, 5),
    "referral-comparison": (("referral",), AVERAGE, None),
    "revenue-by-employment-status": (("employment_status",), REVENUE, None),
    "revenue-by-age-group": (("age_group",), REVENUE, None),
    "hourly-sales": (("hour",), KEY, None),
    "daily-sales": (("date",), KEY, None),
    "overall-summary": ((), KEY, None),
}
FILTERS = (
    "segment", "payment_method", "gender", "marital_status", "state", "referral", "employment_status", "age_group",
    "hour",
)  # fmt: skip
UNKNOWN = "Unknown"
AGE_GROUPS = ("Under 18", "18-24", "25-34", "35-44", "45-54", "55-64", "65+")
PAYPAL = {"paypal": "PayPal"}
REFERRALS = {"": UNKNOWN, "0": "Non-referral", "1": "Referral"}

Parameters = Mapping[str, Sequence[str]]
Row = dict[str, Any]
Answer = dict[str, Any]
"""`rows` and `totals` as in the JSON reply; for a comparison, also `compared_with`."""

MEASURES = ("transactions", "priced_transactions", "revenue", "average_spend")


def read(path: Path) -> pd.DataFrame:
    """One row per distinct transaction, with a column for each dimension and the cents (None if unknown)."""
    raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    raw.columns = [{"referal": "referral"}.get(name.casefold(), name.casefold()) for name in raw.columns]
    raw = raw.drop_duplicates("transaction_id", ignore_index=True)
    moments = [moment(text) for text in raw["transaction_date"]]
    return pd.DataFrame(
        {
            "segment": [text.capitalize() or UNKNOWN for text in raw["segment"]],
            "payment_method": [PAYPAL.get(t.lower()) or t.capitalize() or UNKNOWN for t in raw["payment_method"]],
            "gender": [text.capitalize() or UNKNOWN for text in raw["gender"]],
            "marital_status": [text.capitalize() or UNKNOWN for text in raw["marital_status"]],
            "state": [text.title() or UNKNOWN for text in raw["state_names"]],
            "referral": [REFERRALS[text] for text in raw["referral"]],
            "employment_status": [text.title() or UNKNOWN for text in raw["employees_status"]],
            "age_group": [age_group(text) for text in raw["age"]],
            "hour": [each.hour for each in moments],
            "date": [each.date() for each in moments],
            "cents": pd.Series([cents(text) for text in raw["amount_spent"]], dtype="Int64"),
        }
    )  # fmt: skip


def answer(frame: pd.DataFrame, slug: str, parameters: Parameters) -> Answer:
    """The rows and totals of a question, from the frame returned by `read`."""
    by, order, limit = _declared(slug, parameters)
    if "limit" in parameters:
        limit = int(parameters["limit"][0])
    if "compare" in parameters:
        return _compared(frame, slug, parameters, (by, order, limit))
    found, totals = _uncut(frame, parameters, by)
    found.sort(key=lambda each: _rank(*each, len(by), order))
    keys = _keys(parameters, by)
    rows = [dict(zip(keys, map(_shown, key), strict=True)) | figures for key, figures in found]
    return {"rows": _cut(rows, limit), "totals": totals}


def _keys(parameters: Parameters, by: Sequence[str]) -> list[str]:
    return [*(["interval"] if "interval" in parameters else []), *by]


def _cut(rows: list[Row], limit: int | None) -> list[Row]:
    """At most `limit` rows, separately in each interval."""
    if limit is None:
        return rows
    shown: Counter[str | None] = Counter()
    kept = []
    for row in rows:
        shown[row.get("interval")] += 1
        if shown[row.get("interval")] <= limit:
            kept.append(row)
    return kept


def _uncut(
    frame: pd.DataFrame, parameters: Parameters, by: Sequence[str]
) -> tuple[list[tuple[tuple[Any, ...], Row]], Row]:
    """All groups, unordered, and the totals."""
    chosen = frame[_mask(frame, parameters)]
    interval = parameters["interval"][0] if "interval" in parameters else None
    keys = _keys(parameters, by)
    if interval:
        chosen = chosen.assign(interval=[interval_start(day, interval) for day in chosen["date"]])
    return [(key, _figures(*sums)) for key, sums in _groups(chosen, keys)], _figures(*_sums(chosen))


def earlier(first: date, last: date, comparison: str) -> tuple[date, date]:
    """The period that a period is compared with."""
    if comparison == "previous_period":
        length = (last - first).days + 1
        return first - timedelta(days=length), last - timedelta(days=length)
    return _last_year(first), _last_year(last)


def _last_year(day: date) -> date:
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        return date(day.year - 1, 2, 28)


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _compared(frame: pd.DataFrame, slug: str, parameters: Parameters, declared: Shape) -> Answer:
    """The groups of both periods side by side. Days and intervals are listed and paired one by one."""
    by, order, limit = declared
    first = date.fromisoformat(parameters["from"][0]) if "from" in parameters else min(frame["date"])
    last = date.fromisoformat(parameters["to"][0]) if "to" in parameters else max(frame["date"])
    if first > last:  # an open end beyond the data
        first, last = (first, first) if "from" in parameters else (last, last)
    before, until = earlier(first, last, parameters["compare"][0])
    asked = {name: values for name, values in parameters.items() if name != "compare"}
    now, totals = _uncut(frame, asked | {"from": [str(first)], "to": [str(last)]}, by)
    then, totals_then = _uncut(frame, asked | {"from": [str(before)], "to": [str(until)]}, by)
    keys = _keys(parameters, by)
    is_by_date = parameters["compare"][0] == "previous_year"
    days = {} if is_by_date else dict(zip(_days(before, until), _days(first, last), strict=False))
    for day in _days(first, last) if is_by_date else ():
        days.setdefault(_last_year(day), day)  # 29 February has no counterpart if the 28th has one
    starts = {}
    if "interval" in parameters:
        interval = parameters["interval"][0]
        these, those = (
            list(dict.fromkeys(interval_start(day, interval) for day in _days(*each)))
            for each in ((first, last), (before, until))
        )
        starts = days if interval == "day" else dict(zip(those, these, strict=False))
    moved: dict[tuple[Any, ...], Row] = {}
    for key, figures in then:
        named = dict(zip(keys, key, strict=True))
        if "date" in named:
            named["date"] = days.get(named["date"])
            if "interval" in named and named["date"]:
                named["interval"] = interval_start(named["date"], interval)
        elif "interval" in named:
            named["interval"] = starts.get(named["interval"])
        if None not in named.values():
            moved[tuple(named.values())] = figures
    present = dict(now)
    both = [(key, present.get(key) or _figures(0, 0, 0)) for key in [*present, *(set(moved) - set(present))]]
    both.sort(key=lambda each: _rank(*each, len(by), order))
    rows = [
        dict(zip(keys, map(_shown, key), strict=True)) | figures | _beside(figures, moved.get(key))
        for key, figures in both
    ]
    return {
        "rows": _cut(rows, limit),
        "totals": totals | _beside(totals, totals_then if totals_then["transactions"] else None),
        "compared_with": {"from": str(before), "to": str(until)},
    }


def _beside(now: Row, then: Row | None) -> Row:
    """The earlier figures, and the change of each in percent to one place, half away from zero."""
    changes: Row = dict.fromkeys(MEASURES)
    for name in MEASURES if then else ():
        old, new = then[name] if then else None, now[name]
        if old is not None and new is not None and Decimal(old) != 0:
            tenths = abs(Fraction(str(new)) - Fraction(str(old))) * 1000 / Fraction(str(old))
            whole = (2 * tenths.numerator + tenths.denominator) // (2 * tenths.denominator)
            sign = "-" if Decimal(new) < Decimal(old) and whole else ""
            changes[name] = f"{sign}{whole // 10}.{whole % 10}"
    return {"previous": then, "change_percent": changes}


def age_group(text: str) -> str:
    """The age group of an age as the CSV writes it."""
    if not text:
        return UNKNOWN
    age = int(Decimal(text))
    return AGE_GROUPS[sum(age >= bound for bound in (18, 25, 35, 45, 55, 65))]


def average_cents(total: int, count: int) -> int | None:
    """The average in whole cents, half away from zero."""
    if not count:
        return None
    whole, rest = divmod(total, count)
    return whole + (rest * 2 >= count)


@cache
def cents(text: str) -> int | None:
    """An amount as the CSV writes it, in cents."""
    return int(Decimal(text) * 100) if text else None


@cache
def moment(text: str) -> datetime:
    """A timestamp as the CSV writes it: ISO 8601, or M/D/YYYY, which is midnight."""
    if "/" in text:
        month, day, year = map(int, text.split("/"))
        return datetime(year, month, day)  # noqa: DTZ001  a wall clock has no zone
    return datetime.fromisoformat(text)


@cache
def interval_start(day: date, interval: str) -> date:
    """The first day of the interval that contains `day`; weeks begin on Monday."""
    return {
        "day": day,
        "week": day - timedelta(days=day.isoweekday() - 1),
        "month": day.replace(day=1),
        "quarter": date(day.year, (day.month - 1) // 3 * 3 + 1, 1),
        "year": date(day.year, 1, 1),
    }[interval]


def money(amount: int | None) -> str | None:
    """Cents as the reply's JSON writes dollars."""
    return None if amount is None else str((Decimal(amount) / 100).quantize(Decimal("0.01"), ROUND_HALF_UP))


def _mask(frame: pd.DataFrame, parameters: Parameters) -> "pd.Series[bool]":
    keep = pd.Series(True, index=frame.index)
    if "from" in parameters:
        keep &= frame["date"] >= date.fromisoformat(parameters["from"][0])
    if "to" in parameters:
        keep &= frame["date"] <= date.fromisoformat(parameters["to"][0])
    for name in FILTERS:
        for parameter in (name, "not_" + name):
            if parameter in parameters:
                wanted = [value.lower() for value in parameters[parameter]]
                found = frame[name].isin([each for each in frame[name].unique() if str(each).lower() in wanted])
                keep &= found if parameter == name else ~found
    return keep


def _groups(frame: pd.DataFrame, keys: list[str]) -> Iterable[tuple[tuple[Any, ...], tuple[int, int, int]]]:
    """Each group's key with its number of rows, its number of amounts, and its cents, as 64-bit integers."""
    if not keys:
        return [((), _sums(frame))] if len(frame) else []
    sums = frame.groupby(keys, sort=False)["cents"].agg(["size", "count", "sum"])
    groups = sums.index if len(keys) > 1 else ((key,) for key in sums.index)
    return zip(groups, sums.astype("int64").itertuples(index=False, name=None), strict=True)


def _sums(frame: pd.DataFrame) -> tuple[int, int, int]:
    return len(frame), int(frame["cents"].count()), int(frame["cents"].sum())


def _declared(slug: str, parameters: Parameters) -> Shape:
    if slug == "explore":
        by = tuple(parameters.get("by", ()))
        return by, KEY if not by or {"date", "hour"} & set(by) else REVENUE, None
    return QUESTIONS[slug]


def _rank(key: tuple[Any, ...], figures: Row, by: int, order: str | None) -> tuple[Any, ...]:
    """The sort key: the interval, the measure (highest first, null last), the group of `by` parts."""
    before, group = key[: len(key) - by], key[len(key) - by :]
    value = figures[order] if order else 0
    return (*before, value is None, -Decimal(value or 0), *group)


def _figures(rows: int, priced: int, total: int) -> Row:
    return {
        "transactions": rows,
        "priced_transactions": priced,
        "revenue": money(total),
        "average_spend": money(average_cents(total, priced)),
    }


def _shown(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, str) else int(value)
