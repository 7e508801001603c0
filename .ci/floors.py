"""Print what `make floors` installs: the lowest version of each requirement in setup.cfg, and what the tests need."""

import configparser
import re
import sys
from collections.abc import Iterator

TOOLS = frozenset({"import-linter", "mypy", "pandas-stubs", "ruff", "types-cachetools"})
"""They look at the code and do not run it; `make lint` has them."""


def lines(option: str) -> Iterator[str]:
    """The requirements of an option of setup.cfg."""
    parser = configparser.ConfigParser()
    parser.read("setup.cfg")
    section, _, name = option.rpartition(".")
    for line in parser[section][name].splitlines():
        if line and not line.startswith("#"):
            yield line


def floors() -> Iterator[str]:
    """Each requirement at its floor; then the tools of the tests, in whatever version fits."""
    for line in lines("options.install_requires"):
        found = re.fullmatch(r"([a-z-]+)>=([0-9.]+)(,<[0-9.]+)?", line)
        if not found:
            sys.exit(f"setup.cfg: {line!r} is not of the form name>=version or name>=version,<version.")
        yield f"{found[1]}=={found[2]}"
    yield from (line for line in lines("options.extras_require.dev") if line not in TOOLS)


if __name__ == "__main__":
    print("\n".join(floors()))
