"""A network between a client and a server that can fall silent: nothing is refused and nothing is closed."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """Forwards connections from its own port; while it is silent, bytes wait.

    Attributes:
        port: its port, for clients.
        forwarded: the number of bytes so far.
    """

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._talking = threading.Event()
        self._talking.set()
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self.port = int(self._listener.getsockname()[1])
        self.forwarded = 0
        self._run(self._accept)

    def silence(self, seconds: float) -> int:
        """Forward nothing for this long; returns how many bytes were forwarded nevertheless."""
        self._talking.clear()
        time.sleep(0.1)  # bytes in transit are through
        before = self.forwarded
        time.sleep(seconds)
        meanwhile = self.forwarded - before
        self._talking.set()
        return meanwhile

    def close(self) -> None:
        """Close every connection."""
        self._talking.set()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _run(self, work: object, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._talking.wait()
                server = socket.create_connection(("127.0.0.1", self._to_port))
                self._sockets += [client, server]
                self._run(self._forward, client, server)
                self._run(self._forward, server, client)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._talking.wait()
                target.sendall(data)
                self.forwarded += len(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextmanager
def proxied(to_port: int) -> Iterator[Proxy]:
    """A context with a proxy."""
    proxy = Proxy(to_port)
    try:
        yield proxy
    finally:
        proxy.close()
