"""The server around the application: slow clients, signals, kills, a port in use, TLS, new keys."""

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.keys import new_key
from service.settings import ServerSettings
from store.client import Store
from tests.support.places import ROOT
from tests.support.service import AWAY, Service, serving

pytestmark = [pytest.mark.live, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

SOON_S = 2.0
SLOW_HEADS, SLOW_BODIES = 100, 40
STREAMS = ServerSettings().listeners
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(scope="module")
def key() -> tuple[str, str]:
    """A key's text, and its line in a file."""
    text, stored = new_key("shop")
    return text, f"{stored.name}:{stored.digest}\n"


@pytest.fixture(scope="module")
def guarded(
    loaded: Store, data_dir: Path, key: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service on the loaded sample, which requires the key."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "keys").write_text(key[1])
    environment = {
        "DATA_DIR": str(data_dir), "MONGODB_DATABASE": loaded.settings.database, "API_KEYS_FILE": str(folder / "keys"),
        "WORKERS": "2",
    }  # fmt: skip
    with serving(folder / "log", environment) as running:
        yield running


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


# Slow clients.


@contextmanager
def connections(port: int, number: int) -> Iterator[list[socket.socket]]:
    """This many connections, closed afterwards."""
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(number)]


def answers_soon(service: Service, key: str) -> None:
    """Check that health and a question are answered in time."""
    start = time.monotonic()
    assert service.get("/healthz").status == 200
    hour = int(time.monotonic() * 1000) % 24
    headers = {"Authorization": f"Bearer {key}"}
    assert service.request("GET", f"/v1/queries/top-states?hour={hour}", headers).status == 200
    assert time.monotonic() - start < SOON_S


def test_a_hundred_heads_that_come_byte_by_byte_hold_nobody_up(guarded: Service, key: tuple[str, str]) -> None:
    """Each occupies a connection, but no thread; once complete, it is answered, too."""
    request = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"
    with connections(guarded.port, SLOW_HEADS) as slow:
        for byte in request[:-1]:
            for each in slow:
                each.send(bytes([byte]))
            if byte in b" H":
                answers_soon(guarded, key[0])
        for each in slow:
            each.send(request[-1:])
            assert each.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("has_key", [False, True], ids=["without a key", "with a key"])
@pytest.mark.parametrize("path", ["/healthz", "/v1/queries/top-states", "/nowhere"])
def test_forty_slow_bodies_hold_nobody_up(guarded: Service, key: tuple[str, str], path: str, has_key: bool) -> None:
    """Each is refused before its body arrives, with or without a valid key."""
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\n" + (f"Authorization: Bearer {key[0]}\r\n" if has_key else "")
    with connections(guarded.port, SLOW_BODIES) as slow:
        for each in slow:
            each.send(f"{head}Transfer-Encoding: chunked\r\n\r\n5\r\na".encode())
        answers_soon(guarded, key[0])
        for each in slow:
            assert each.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_does_not_read_holds_nobody_up(guarded: Service, key: tuple[str, str]) -> None:
    """Its reply waits in memory, without a thread."""
    head = f"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {key[0]}\r\n\r\n"
    with connections(guarded.port, SLOW_BODIES) as slow:
        for each in slow:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            each.send(head.encode())
        answers_soon(guarded, key[0])


def ask_for_news(connection: socket.socket) -> bytes:
    """Request /v1/live on a connection; returns the status."""
    connection.send(b"GET /v1/live HTTP/1.1\r\nHost: here\r\n\r\n")
    return connection.recv(4096).split()[1]


def test_the_place_of_a_listener_who_has_left_is_free_soon(loaded: Store, data_dir: Path, tmp_path: Path) -> None:
    """All places are taken, one more is refused; when all have left, all are free within two seconds."""
    environment = {"DATA_DIR": str(data_dir), "MONGODB_DATABASE": loaded.settings.database}
    with serving(tmp_path / "log", environment) as service:
        for _ in range(2):
            with connections(service.port, STREAMS + 1) as here:
                assert [ask_for_news(each) for each in here] == [b"200"] * STREAMS + [b"503"]
            time.sleep(SOON_S)


# The end.


@dataclass
class Running:
    """The service in a separate session, as in a terminal."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path
    data_dir: Path

    def is_answering(self) -> bool:
        """Whether it responds."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return Service(self.port).get("/healthz").status == 200
        except OSError:
            return False

    def everything(self) -> set[int]:
        """The process, its descendants, and the embedded server with its guardian."""
        found = {self.process.pid}
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                parent = int(status.read_text().partition("PPid:")[2].split()[0])
                command = (status.parent / "cmdline").read_text()
            except OSError:
                continue
            if parent == self.process.pid or str(self.data_dir) in command:
                found.add(int(status.parent.name))
        return found


@contextmanager
def running(tmp_path: Path, *options: str, log: str = "log", **more: str) -> Iterator[Running]:
    """A context with the service and its own embedded server; killed at the end if it is still running."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    written, data_dir = tmp_path / log, tmp_path / "data"
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = kept | {"DATA_DIR": str(data_dir), "PORT": str(port), "WORKERS": "2", **more}
    port = int(environment["PORT"])
    with written.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", *options], cwd=ROOT, env=environment, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield Running(process, port, written, data_dir)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def all_gone(pids: set[int]) -> Callable[[], bool]:
    """A condition: none of these processes is left."""
    return lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda each: each.name)
@pytest.mark.parametrize("to_all", [False, True], ids=["to the parent", "to the terminal's processes"])
def test_a_signal_ends_everything_quietly(tmp_path: Path, sample: Path, number: signal.Signals, to_all: bool) -> None:
    """Workers, listeners, guardian and mongod; exit code 0, no traceback, no error, and the port is free."""
    with running(tmp_path, "--load", str(sample)) as service:
        eventually(service.is_answering, 60)
        pids = service.everything()
        assert len(pids) >= 5  # parent, two workers, guardian, mongod
        with connections(service.port, 1) as (listener,):
            assert ask_for_news(listener) == b"200"
            (os.killpg if to_all else os.kill)(service.process.pid, number)
            assert service.process.wait(timeout=10) == 0
        eventually(all_gone(pids), 10)
        told = service.log.read_text()
        assert "Traceback" not in told
        assert '"level": "error"' not in told
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", service.port))


@pytest.mark.parametrize("number", SIGNALS, ids=lambda each: each.name)
def test_a_signal_ends_a_load_quietly(tmp_path: Path, number: signal.Signals) -> None:
    """During the load; nothing is left running."""
    file = tmp_path / "large.csv"
    subprocess.run(
        [sys.executable, "-m", "loader", "sample", str(file), "--rows", "300000"],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    with running(tmp_path, "--load", str(file)) as service:
        eventually(lambda: len(service.everything()) >= 4, 60)  # parent, loader, guardian, mongod
        time.sleep(0.5)
        pids = service.everything()
        os.killpg(service.process.pid, number)
        assert service.process.wait(timeout=10) == 0
        eventually(all_gone(pids), 15)
        assert "Traceback" not in service.log.read_text()


def test_a_killed_service_leaves_nothing_behind_and_starts_again(tmp_path: Path) -> None:
    """Its workers end with it, even one that is streaming; the next start reuses the folder and finds it empty."""
    more = {"MONGODB_URI": AWAY}
    with running(tmp_path, **more) as service:
        eventually(service.is_answering)
        pids = service.everything()
        service.process.kill()
        service.process.wait()
        eventually(all_gone(pids), 10)
        folder = service.data_dir / "service"
        assert list(folder.glob("*/*.db"))
    for _ in range(2):
        with running(tmp_path, PORT=str(service.port), **more) as again:
            eventually(again.is_answering)
            workers = again.everything() - {again.process.pid}
            left = {int(each.stem.rpartition("_")[2]) for each in folder.glob("*/*.db")}
            assert left <= workers
            assert len(list(folder.iterdir())) == 1
            pids = again.everything()
            again.process.kill()
            again.process.wait()
            eventually(all_gone(pids), 10)


def test_a_taken_port_is_told_in_one_line(tmp_path: Path) -> None:
    """Whether this service or another program uses it; with the remedy."""
    more = {"MONGODB_URI": AWAY}
    with running(tmp_path, **more) as service:
        eventually(service.is_answering)
        for folder, by in ((tmp_path, "by this service"), (tmp_path / "other", "by another program")):
            folder.mkdir(exist_ok=True)
            with running(folder, PORT=str(service.port), log="second", **more) as second:
                assert second.process.wait(timeout=30) == 2
                told = second.log.read_text()
            assert told == (
                f"error: Port {service.port} is already in use {by}. Open http://127.0.0.1:{service.port}/, "
                f"or choose another: PORT={service.port + 1}.\n"
            )


# Keys and TLS.


def test_new_keys_are_read_at_a_signal(tmp_path: Path) -> None:
    """SIGUSR1 restarts the workers without losing a request; an invalid file changes nothing."""
    keys = tmp_path / "keys"
    (old, stored), (new, also) = new_key("old"), new_key("new")
    keys.write_text(f"{stored.name}:{stored.digest}\n")

    def status(text: str) -> int:
        return service.request("GET", "/v1/queries", {"Authorization": f"Bearer {text}"}).status

    with serving(tmp_path / "log", {"MONGODB_URI": AWAY, "API_KEYS_FILE": str(keys)}) as service:
        assert (status(old), status(new)) == (200, 401)
        keys.write_text("nonsense\n")
        os.kill(service.pid, signal.SIGUSR1)
        eventually(lambda: "keep the old keys" in (tmp_path / "log").read_text())
        keys.write_text(f"{also.name}:{also.digest}\n")
        os.kill(service.pid, signal.SIGUSR1)
        eventually(lambda: status(new) == 200)
        eventually(lambda: [status(old) for _ in range(5)] == [401] * 5)


@pytest.mark.skipif(not shutil.which("openssl"), reason="makes a certificate")
def test_the_service_speaks_tls(tmp_path: Path) -> None:
    """With our certificate; browsers are told to keep using TLS."""
    certificate, private = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(private), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    more = {"MONGODB_URI": AWAY, "TLS_CERTIFICATE": str(certificate), "TLS_KEY": str(private)}
    with running(tmp_path, **more) as service:
        eventually(lambda: "the service is at https://" in service.log.read_text())
        context = ssl.create_default_context(cafile=str(certificate))
        connection = http.client.HTTPSConnection("localhost", service.port, context=context, timeout=10)
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        assert json.loads(response.read()) == {"status": "ok"}
        assert response.headers["Strict-Transport-Security"]
        connection.close()
        service.process.terminate()
        assert service.process.wait(timeout=10) == 0
