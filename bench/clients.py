"""Many clients in one thread, each request on a connection of its own.

The measured service shares its cores with this client, so a request must cost little here: about 0.1 ms, instead of
0.5 for an asyncio connection.
"""

import select
import socket
import time
from dataclasses import dataclass
from types import TracebackType

_CHUNK = 1 << 16


@dataclass(frozen=True)
class Outcome:
    """The outcome of a request: its path, status (0 if the connection failed), time in ms, and body."""

    path: str
    status: int
    ms: float
    body: bytes


@dataclass
class _Asked:
    path: str
    start: float
    connection: socket.socket
    reply: bytes = b""


class Clients:
    """The open requests to one port on loopback."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._poll = select.epoll()
        self._asked: dict[int, _Asked] = {}

    def __enter__(self) -> "Clients":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for asked in self._asked.values():
            asked.connection.close()
        self._poll.close()

    @property
    def under_way(self) -> int:
        """The number of requests that wait for their replies."""
        return len(self._asked)

    def ask(self, path: str) -> None:
        """Send a request."""
        connection = socket.socket()
        connection.setblocking(False)
        start = time.perf_counter()
        connection.connect_ex(("127.0.0.1", self._port))  # errors show when the outcome is collected
        self._asked[connection.fileno()] = _Asked(path, start, connection)
        self._poll.register(connection, select.EPOLLOUT)

    def collect(self, until: float) -> list[Outcome]:
        """The outcomes of ended requests, as soon as there are any; empty after `until` (a `perf_counter`)."""
        outcomes: list[Outcome] = []
        while self._asked and not outcomes:
            left = until - time.perf_counter()
            if left <= 0:
                return outcomes
            for number, event in self._poll.poll(left):
                asked = self._asked[number]
                if self._has_ended(asked, event):
                    outcomes.append(_outcome(self._asked.pop(number)))
        time.sleep(max(0.0, until - time.perf_counter()) if not outcomes else 0.0)
        return outcomes

    def _has_ended(self, asked: _Asked, event: int) -> bool:
        try:
            if event & select.EPOLLOUT and not event & select.EPOLLERR:
                request = f"GET {asked.path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
                asked.connection.sendall(request.encode())
                self._poll.modify(asked.connection, select.EPOLLIN)
                return False
            received = asked.connection.recv(_CHUNK)
        except OSError:
            asked.reply = b""
            return True
        asked.reply += received
        return not received


def _outcome(asked: _Asked) -> Outcome:
    milliseconds = (time.perf_counter() - asked.start) * 1000
    asked.connection.close()
    head, _, body = asked.reply.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    return Outcome(asked.path, int(words[1]) if len(words) > 1 else 0, milliseconds, body)
