"""Transactions, retried if that can help."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from itertools import count
from random import random
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import pymongo
from bson.binary import Binary
from pymongo import MongoClient, ReadPreference, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import ConnectionFailure, PyMongoError, ServerSelectionTimeoutError
from pymongo.read_concern import ReadConcern

from catalog.errors import AnalyticsError
from store.faults import translated
from store.reads import Document
from store.writes import Transaction

Result = TypeVar("Result")
AWAY_S = 6.0
TRIES_S = 120.0
CLOSE_S = 0.5


class Session:
    """Runs transactions, one after the other.

    Attributes:
        name: its id, for `store.holder.end_session`.
    """

    def __init__(self, db: Database[Document], name: str | None, session: ClientSession) -> None:
        self._session = session
        self._transaction = Transaction(db, name, session)
        self.name = Binary.from_uuid(session.session_id["id"].as_uuid())

    def transaction(self, work: Callable[[Transaction], Result]) -> Result:
        """Run `work` in a transaction, again if necessary, and return its result. Reads see one snapshot.

        Like PyMongo's `with_transaction`, this retries for two minutes, as an election may take long; but if no server
        at all can be reached for AWAY_S, there is no election to wait for. Commits have write concern majority.

        Raises:
            StoreUnavailable: MongoDB is unavailable, or every attempt conflicted with other transactions.
        """
        with translated():
            return self._tried(work)

    def _tried(self, work: Callable[[Transaction], Result]) -> Result:
        session = self._session
        deadline = time.monotonic() + TRIES_S
        for tries in count():
            time.sleep(random() * min(tries and 0.005 * 1.5**tries, 0.5))  # noqa: S311  no secret
            session.start_transaction(ReadConcern("snapshot"), WriteConcern("majority", j=True))
            try:
                result = work(self._transaction)
            except BaseException as raised:
                error = _of_driver(raised)
                has_waited_s = session.client.options.server_selection_timeout
                since = time.monotonic() - (has_waited_s if isinstance(error, ServerSelectionTimeoutError) else 0)
                is_over = not _is_transient(error) or time.monotonic() > deadline
                is_away = not is_over and not _is_reachable(session.client, since)
                if session.in_transaction:
                    # With no server known, an abort would wait for one that no longer has the transaction.
                    is_there = session.client.topology_description.has_writable_server()
                    with nullcontext() if is_there else pymongo.timeout(CLOSE_S):
                        session.abort_transaction()
                if is_over or is_away:
                    raise
            else:
                if _commit(session, deadline):
                    return result
        raise AssertionError("unreachable")


def _of_driver(error: BaseException) -> BaseException:
    """The driver's error behind a translated one; it says whether a retry can help."""
    cause = error.__cause__
    return cause if isinstance(error, AnalyticsError) and isinstance(cause, PyMongoError) else error


def _commit(session: ClientSession, deadline: float) -> bool:
    """Commit; False if the whole transaction has to be retried."""
    while True:
        begin = time.monotonic()
        try:
            session.commit_transaction()
        except PyMongoError as error:
            is_unknown = error.has_error_label("UnknownTransactionCommitResult")
            if not (is_unknown or _is_transient(error)) or time.monotonic() > deadline:
                raise
            if not _is_reachable(session.client, begin):
                raise
            if not is_unknown:
                return False
        else:
            return True


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, PyMongoError) and error.has_error_label("TransientTransactionError")


_away_since: "WeakKeyDictionary[MongoClient[Any], float]" = WeakKeyDictionary()
"""Since when each client's server has been unreachable: a loader's two sessions wait together, not in turn."""


def _is_reachable(client: MongoClient[Any], since: float) -> bool:
    """Whether any server answers, primary or not; waits until none has answered for AWAY_S."""
    deadline = _away_since.setdefault(client, since) + AWAY_S
    while (left := deadline - time.monotonic()) > 0:
        try:
            with pymongo.timeout(left):
                client.admin.command("ping", read_preference=ReadPreference.NEAREST)
        except ConnectionFailure:
            time.sleep(0.05)
        else:
            _away_since.pop(client, None)
            return True
    return False
