"""What a measurement was made on: the machine, and the versions of everything."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import which

from catalog import VERSION
from store.embedded.server import find_mongod

PACKAGES = (
    "granian", "flask", "pymongo", "numpy", "pyarrow", "orjson", "duckdb", "polars", "chdb", "chdb-core", "psycopg",
)  # fmt: skip


def machine() -> str:
    """Processor, cores, memory and system."""
    told = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in told if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = models[0] if models else platform.processor() or platform.machine()
    system = f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"  # not how its builder names it
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {system}"


def versions() -> dict[str, str]:
    """By program and package; those that are not installed are left out."""
    found = {"this project": VERSION, "Python": platform.python_version()}
    for name, program in (("mongod", find_mongod()), ("PostgreSQL", which("psql"))):
        if program:
            found[name] = _said([str(program), "--version"])
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    words = done.stdout.splitlines()[0].split() if done.stdout else ["unknown"]
    return next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit()), "unknown")
