"""Translates the driver's errors into this project's. The texts contain no address and no credential."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
)

from catalog.errors import AnalyticsError, InternalError, StoreUnavailable
from store.embedded.server import held
from store.scope import budget_ms

CHECK = "Check that it runs and that MONGODB_URI names it"

_UNAUTHORIZED, _LOGIN_FAILED, _NO_MECHANISM = 13, 18, 334
_DUPLICATE_KEY, _WRITE_CONFLICT, _SNAPSHOT_TOO_OLD = 11000, 112, 239
_CHANGING = {91, 189, 246, 10107, 11600, 13435}
"""Error codes of a server that shuts down, steps down or has not caught up."""

_FORBIDDEN = re.compile(r"not authorized on (\S+) to execute command \{ (\w+): (?:\"([^\"]*)\")?")
_UNVERIFIED = re.compile(r"certificate verify failed: ([^(]*?)\.? *\(_ssl")


class DuplicateKey(AnalyticsError):
    """A document has the same `_id`, or the same key of a unique index, as another one.

    Attributes:
        documents: the rejected documents, as far as MongoDB names them.
    """

    def __init__(self, documents: Sequence[Mapping[str, Any]], where: str) -> None:
        self.documents = tuple(documents)
        super().__init__(
            f"There is already a document with this key in {where}. "
            "Another process may have been faster: run the same command again."
        )


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into this project's.

    Raises:
        StoreUnavailable: MongoDB is unavailable, refuses the login, or is too busy; retrying later may help.
        DuplicateKey: a document with that key exists.
        InternalError: MongoDB rejected one of our commands.
    """
    try:
        yield
    except PyMongoError as error:
        raise _translation(error) from error


def _translation(error: PyMongoError) -> AnalyticsError:
    if isinstance(error, WaitQueueTimeoutError):
        return StoreUnavailable("Every connection to MongoDB is in use", "Try again")
    if isinstance(error, NetworkTimeout | ExecutionTimeout):
        if isinstance(error.__cause__, ConnectionFailure) and not isinstance(error.__cause__, NetworkTimeout):
            return _unreachable(error.__cause__)
        budget = budget_ms()
        when = f"within this request's {budget:,} ms" if budget else "in time"
        return StoreUnavailable(f"MongoDB did not answer {when}", "Try again, or ask for less")
    if isinstance(error, ConnectionFailure):
        return _unreachable(error)
    if isinstance(error, OperationFailure):
        return _refused(error)
    if isinstance(error, ConfigurationError):
        return _misconfigured(error)
    return StoreUnavailable(f"MongoDB failed ({type(error).__name__})", "Try again")


def _unreachable(error: BaseException) -> StoreUnavailable:
    """The error for an unreachable server; the embedded one restarts on its own, if its disk has room."""
    for server in held():
        if said := server.trouble():
            return StoreUnavailable(said, "Try again, or look at its disk and its log")
    text = str(error)
    if found := _UNVERIFIED.search(text):
        if "mismatch" in found[1]:
            return StoreUnavailable(
                "MongoDB's certificate is not valid for the host in MONGODB_URI",
                "Use a host name that is in the certificate",
            )
        return StoreUnavailable(
            f"MongoDB's certificate cannot be trusted ({found[1]})",
            "Set tlsCAFile in MONGODB_URI to the certificate of the authority that signed it",
        )
    for sign, problem, remedy in _SIGNS:
        if sign in text:
            return StoreUnavailable(problem, remedy)
    return StoreUnavailable("MongoDB cannot be reached", CHECK)


_OTHER_SET = "The replica set name differs from the one in MONGODB_URI", "Check replicaSet in MONGODB_URI"
_NO_HOST = "The host name in MONGODB_URI cannot be resolved", "Check the name, and this machine's DNS"
_SIGNS = (
    ("No replica set members available for replica set name", *_OTHER_SET),
    ("but this node belongs to a set named", *_OTHER_SET),
    (
        "SSL handshake failed",
        "The TLS handshake with MongoDB failed",
        "If the server does not use TLS, remove tls=true",
    ),
    (
        "connection closed",
        "MongoDB closes every connection immediately",
        "If it requires TLS, add tls=true to MONGODB_URI; if it requires a client certificate, tlsCertificateKeyFile",
    ),
    *((sign, *_NO_HOST) for sign in ("Name or service not known", "name resolution", "No address associated")),
)
"""A phrase of the driver's server selection error, what it means, and what to do."""


def _refused(error: OperationFailure) -> AnalyticsError:
    details: Mapping[str, Any] = error.details or {}
    codes = {error.code, *(each.get("code") for each in details.get("writeConcernErrors", ()))}
    if _UNAUTHORIZED in codes:
        return _forbidden(str(error))
    if _LOGIN_FAILED in codes:
        return StoreUnavailable("MongoDB refused the login", "Check the user and the password in MONGODB_URI")
    if _NO_MECHANISM in codes:  # also an unknown user, if the server accepts SCRAM-SHA-256 only: drivers then try SHA-1
        return StoreUnavailable(
            "The user is unknown to MongoDB, or it does not support this authentication mechanism",
            "Check the user, authSource and authMechanism in MONGODB_URI",
        )
    if _WRITE_CONFLICT in codes:
        return StoreUnavailable("Another write to MongoDB was in the way", "Try again")
    if _SNAPSHOT_TOO_OLD in codes:
        return StoreUnavailable(
            "The snapshot is too old: MongoDB no longer keeps its data", "Try again, or ask for less"
        )
    if error.has_error_label("TransientTransactionError") or codes & _CHANGING:
        return StoreUnavailable("MongoDB is changing its primary", "Try again")
    written = details.get("writeErrors", ())
    if doubles := [each for each in written if each["code"] == _DUPLICATE_KEY]:
        return DuplicateKey([each.get("op", {}) for each in doubles], _collection(doubles[0].get("errmsg", "")))
    if _DUPLICATE_KEY in codes:
        return DuplicateKey((), _collection(str(error)))
    return InternalError(f"MongoDB refused a command: {details.get('codeName', error.code)}: {error}")


def _forbidden(text: str) -> StoreUnavailable:
    if found := _FORBIDDEN.search(text):
        database, command, collection = found.groups()
        where = f"{database}.{collection}" if collection else database
        return StoreUnavailable(
            f"The user may not `{command}` on {where}", f"Give the user a role with that privilege on {database}"
        )
    if "requires authentication" in text:
        return StoreUnavailable("MongoDB requires a login", "Add a user and a password to MONGODB_URI")
    return StoreUnavailable("The user lacks a privilege in MongoDB", "Check the roles of the user in MONGODB_URI")


def _collection(text: str) -> str:
    """The collection named in a duplicate key error, without the value."""
    found = re.search(r"collection: [^. ]+\.(\S+)", text)
    return found[1] if found else "a collection"


def _misconfigured(error: ConfigurationError) -> StoreUnavailable:
    if type(error.__cause__).__module__.startswith("dns."):
        return StoreUnavailable(
            "The DNS record for MONGODB_URI (mongodb+srv) cannot be resolved",
            "Check the host name, and this machine's DNS",
        )
    if "but this node belongs to a set named" in str(error):
        return StoreUnavailable(*_OTHER_SET)
    return StoreUnavailable("MongoDB cannot be reached with this MONGODB_URI", "Check its host name and options")
