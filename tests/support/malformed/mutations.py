"""Small files with some odd fields, and mutations of them (bytes, fields, lines), by seed."""

import gzip
from collections.abc import Callable
from random import Random

from tests.support.malformed.reader import COLUMNS, NAMES

ODD_IN = {
    "Transaction_ID": (
        "", " ", "0", "007", "-1", "2.0", "1e3", "1_000", "+5", "0x10", "9223372036854775807", "9223372036854775808",
        "9" * 18, "9" * 25, "0" * 25, "\uff15", "\u0665", "\u00b2", "\ufeff1", " 77 ", "#1",
    ),
    "Transaction_date": (
        "", "2024-02-30", "2023-02-29", "2024-02-29", "1969-12-31T23:59:59", "1970-01-01", "9999-12-31T23:59:59",
        "0000-01-01T00:00:00", "2018-01-01T24:00:00", "2018-01-01T23:59:60", "2018-01-01T00:00:00.000001",
        "2018-01-01T00:00:00.999", "2018-01-01T12:00:00Z", "2018-07-01T12:00:00+05:30", "2018-07-01T12:00:00-0330",
        "2018-01-01T12:00+00:60", "2018-01-01 07:08", "20180101", "2018-W01-1", "1/31/2018", "31/1/2018", "1/1/18",
        "0/0/2000", "2/29/2023", "1/31/2018 10:00", "1514764800", "2018-01-01T12", "2018-01-01T00:00:00.1234567",
    ),
    "Gender": ("", "MALE", " female", "F", "Unknown", "Femal", "\u202eMale", "Male\u00a0"),
    "Age": (
        "", "0", "120", "121", "-1", "-0", "27.0", "27.50", "27.5", "27.", "1e1", "NaN", "007", " 39", "\u0662",
        "9" * 25,
    ),
    "Marital_status": ("", "SINGLE", "\u017fingle", "Divorced", "null", "Maried"),
    "State_names": (
        "", "Ohioo", "oHIO", "texas ", "\tTexas", "Te\x00xas", "Te\x1bxas", "Te\x7fxas", "Te\x85xas", "Te\u200bxas",
        "Texas\u2028", "x" * 200, "x" * 201, "$ne", "a.b", "{$gt:1}", "=1+1", "@x", "\u20ac", "\U0001f4b6",
    ),
    "Segment": ("", "Missing", "MISSING", "Bronze", "nan", "$where"),
    "Employees_status": ("", "WORKERS", "self-employed", "Worker", "None"),
    "Payment_method": ("", "paypal", "Pay Pal", "Cash", "Pay\u200bPal"),
    "Referral": ("", "0", "1", "0.0", "1.0", "2", "01", "yes", "-0", "\u0661"),
    "Amount_spent": (
        "", "NaN", "Infinity", "-inf", "1e3", "1_000", "+5", "5.", ".5", ".", "$5", "(5.00)", "0x10", "-0", "-0.00",
        "-0.01", "-5", "1.5", "1.50", "1.500", "1.555", "0.29", "4.35", "1.15", "8.70", "1000000000", "1000000000.01",
        "99999999.99", "100000000.01", "9" * 25, "0" * 25, "\uff15", "\u0665", "1 000", " 5 ", "=1+1",
    ),
}  # fmt: skip
"""Possible texts of a field in that column, valid or not."""

ODD = (
    *(field for fields in ODD_IN.values() for field in fields), '"', '""', '"a"', '"a', 'a"', '"a"b', '"a,b"', '"a""b"',
    '"\n"', '"\r\n\r"', ",", ",,", "\n", "\r", "\r\n", "#", "\\", "'", "\ufeff", "\x1a", '{"$gt":""}',
)  # fmt: skip
BYTES = b'\x00\x01\t\n\r"",,,;\' .-+0159:/TZeE_\\#\x1a\x1f\x7f\x80\xbf\xc2\xe2\xef\xbb\xff'
ODD_SHARE = 0.02
ENDS = (b"\n", b"\r\n", b"\r")

Mutation = Callable[[Random, bytearray], bytearray]


def mutated(seed: int) -> bytes:
    """The file of that seed, changed in one to four places; one in twenty is compressed."""
    random = Random(seed)
    content = bytearray(original(random))
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        content = random.choice(MUTATIONS)(random, content)
    if random.random() < 0.05:
        content = bytearray(gzip.compress(bytes(content), mtime=0))
        if random.random() < 0.5:
            content = random.choice(BYTEWISE)(random, content)
    return bytes(content)


def original(random: Random) -> bytes:
    """A file of 5 to 30 rows in any valid layout."""
    order = random.sample(range(len(COLUMNS)), len(COLUMNS)) if random.random() < 0.3 else range(len(COLUMNS))
    rows = [list(COLUMNS), *(_row(random, number) for number in range(1, random.randint(6, 31)))]
    quote = random.choice(("none", "none", "none", "some", "all"))
    lines = [",".join(_quoted(random, row[at], quote) for at in order) for row in rows]
    end = random.choice(("\n", "\n", "\r\n", "\r\n", "\r"))
    mark = "\ufeff" if random.random() < 0.1 else ""
    return (mark + end.join(lines) + (end if random.random() < 0.8 else "")).encode()


def _row(random: Random, number: int) -> list[str]:
    day = f"20{random.randint(0, 25):02}-{random.randint(1, 12):02}-{random.randint(1, 28):02}"
    clock = f"{random.randint(0, 23):02}:{random.randint(0, 59):02}:{random.randint(0, 59):02}"
    amount = random.randrange(10 ** random.randint(1, 11))
    fields = {
        "Transaction_ID": str(number if random.random() < 0.97 else random.randrange(2**63)),
        "Transaction_date": random.choice((f"{day}T{clock}.000000", f"{day}T{clock}", f"{day} {clock[:5]}", day)),
        "Age": random.choice(("", str(random.randint(0, 120)), f"{random.randint(0, 120)}.0")),
        "Referral": random.choice(("", "0", "1")),
        "Amount_spent": random.choice(
            ("", f"{amount // 100}.{amount % 100:02}", str(amount // 1000), f"{amount // 100}.5")
        ),
    }
    names = {column: random.choice(("", *members, random.choice(members).upper())) for column, members in NAMES.items()}
    return [
        random.choice(ODD_IN[column]) if random.random() < ODD_SHARE else (fields | names)[column] for column in COLUMNS
    ]


def _quoted(random: Random, text: str, quote: str) -> str:
    return f'"{text}"' if quote == "all" or (quote == "some" and random.random() < 0.1) else text


def _flip(random: Random, content: bytearray) -> bytearray:
    if content:
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    return content


def _replace(random: Random, content: bytearray) -> bytearray:
    if content:
        content[random.randrange(len(content))] = random.choice(BYTES)
    return content


def _insert(random: Random, content: bytearray) -> bytearray:
    content.insert(random.randint(0, len(content)), random.choice(BYTES))
    return content


def _delete(random: Random, content: bytearray) -> bytearray:
    at = random.randint(0, len(content))
    del content[at : at + random.choice((1, 1, 2, 8, 40))]
    return content


def _duplicate(random: Random, content: bytearray) -> bytearray:
    start, to = random.randint(0, len(content)), random.randint(0, len(content))
    content[to:to] = content[start : start + random.choice((1, 5, 50))]
    return content


def _swap(random: Random, content: bytearray) -> bytearray:
    if content:
        one, other = random.randrange(len(content)), random.randrange(len(content))
        content[one], content[other] = content[other], content[one]
    return content


def _cut(random: Random, content: bytearray) -> bytearray:
    return content[: random.randint(len(content) // 2, len(content))]


def _field(random: Random, content: bytearray) -> bytearray:
    """Replace a field with an odd one, mostly below the header."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    at = (
        random.randrange(len(lines)) if random.random() < 0.05 else random.randrange(min(1, len(lines) - 1), len(lines))
    )
    body = lines[at].rstrip(b"\r\n")
    fields = body.split(b",")
    fields[random.randrange(len(fields))] = bytearray(random.choice(ODD).encode())
    lines[at] = bytearray(b",".join(fields) + lines[at][len(body) :])
    return bytearray(b"".join(lines))


def _end(random: Random, content: bytearray) -> bytearray:
    """Change the end of a line: none, one of the three, or a blank line."""
    lines = content.splitlines(keepends=True)
    if lines:
        at = random.randrange(len(lines))
        lines[at] = lines[at].rstrip(b"\r\n") + random.choice((b"", b"\n\r", b"\n\n", b"\r\n\r\n", *ENDS))
    return bytearray(b"".join(lines))


def _lines(random: Random, content: bytearray) -> bytearray:
    """Repeat, move or drop a line."""
    lines = content.splitlines(keepends=True)
    if lines:
        line = lines[random.randrange(len(lines))]
        lines.insert(random.randint(0, len(lines)), line)
        if random.random() < 0.5:
            lines.remove(line)
    return bytearray(b"".join(lines))


BYTEWISE: tuple[Mutation, ...] = (_flip, _replace, _insert, _delete, _duplicate, _swap, _cut)
MUTATIONS: tuple[Mutation, ...] = (*BYTEWISE, *(_field,) * 8, *(_end,) * 2, *(_lines,) * 2)
