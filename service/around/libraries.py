"""Private parts of libraries that are used: bounded in `setup.cfg` and checked at the start."""

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version

from catalog.errors import InternalError


@dataclass(frozen=True)
class Private:
    """Private parts of one library.

    Attributes:
        library: its name and the versions that have these parts, as in `setup.cfg`.
        module: the module that contains them.
        names: the parts, such as `Class.method`.
    """

    library: str
    versions: str
    module: str
    names: tuple[str, ...]


PRIVATE = (
    Private("flask-smorest", ">=0.46.1,<0.48", "flask_smorest", ("Api._register_error_handlers",)),
    Private(
        "limits", ">=3.13.0,<6", "limits.storage",
        ("MongoDBStorageBase._database", "MongoDBStorageBase._init_mongo_client"),
    ),
    Private("granian", ">=2.8.0,<2.9", "granian.server.mp", ("MPServer._init_shared_socket",)),
    Private("python-dotenv", ">=1.2.3,<2", "dotenv.parser", ("parse_stream",)),
)  # fmt: skip


def check(parts: tuple[Private, ...] = PRIVATE) -> None:
    """Make sure that the installed libraries have these parts.

    Raises:
        InternalError: a part is missing; the message names the versions to install.
    """
    for each in parts:
        for name in each.names:
            if not _has(each.module, name):
                raise InternalError(
                    f"{each.library} {version(each.library)} has no {name}. "
                    f"Install one that has it: pip install '{each.library}{each.versions}'"
                )


def _has(module: str, name: str) -> bool:
    try:
        found: object = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return False
    return True
