"""Errors if MongoDB is unreachable or refuses: they name cause and remedy, and no address or credential.

The servers and certificates are real and created here.
"""

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from catalog.errors import StoreUnavailable
from store.client import Store
from store.embedded.server import find_mongod
from store.faults import DuplicateKey
from store.settings import Settings

pytestmark = pytest.mark.live

SECRET = "s3cret-word"
QUICK = "serverSelectionTimeoutMS=800"


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def _authority(folder: Path, name: str) -> None:
    _openssl(
        folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem",
        "-subj", f"/CN={name}", "-days", "2", "-addext", "basicConstraints=critical,CA:TRUE",
    )  # fmt: skip


def _certificate(folder: Path, name: str, authority: str, names: str) -> None:
    """Create a key and a certificate in one file, as MongoDB needs them."""
    _openssl(
        folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
        "-subj", f"/CN={name}",
    )  # fmt: skip
    (folder / f"{name}.ext").write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
    _openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
        "-CAcreateserial", "-out", f"{name}.crt", "-days", "2", "-extfile", f"{name}.ext",
    )  # fmt: skip
    (folder / f"{name}.pem").write_text((folder / f"{name}.key").read_text() + (folder / f"{name}.crt").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with certificates of a server, a client, and another authority's client."""
    folder = tmp_path_factory.mktemp("tls")
    _authority(folder, "right")
    _authority(folder, "wrong")
    _certificate(folder, "server", "right", "DNS:localhost")
    _certificate(folder, "client", "right", "DNS:client")
    (folder / "junk.pem").write_text("junk")
    return folder


@contextmanager
def mongod(folder: Path, name: str, *options: str, client: Mapping[str, Any] | None = None) -> Iterator[int]:
    """A one-node replica set named `one`; yields its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / name).mkdir()
    with _running(folder / name, port, *options):
        given = {"directConnection": True, **(client or {})}
        with MongoClient[dict[str, Any]]("localhost", port, **given) as setup:
            members = [{"_id": 0, "host": f"localhost:{port}"}]
            setup.admin.command("replSetInitiate", {"_id": "one", "members": members})
            while not setup.admin.command("hello")["isWritablePrimary"]:
                time.sleep(0.05)
        yield port


@contextmanager
def _running(data: Path, port: int, *options: str) -> Iterator[None]:
    command = [
        str(find_mongod()), "--dbpath", str(data), "--port", str(port), "--bind_ip", "localhost", "--replSet", "one",
        "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25", "--logpath", str(data / "log"), *options,
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


@pytest.fixture(scope="module")
def plain(folder: Path) -> Iterator[int]:
    """The port of a server without TLS, with a user who may read one collection."""
    with mongod(folder, "plain") as port:
        yield port


@pytest.fixture(scope="module")
def secured(folder: Path) -> Iterator[int]:
    """The port of a server that requires TLS and client certificates."""
    authority, certificate = str(folder / "right.pem"), str(folder / "server.pem")
    options = ("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", certificate, "--tlsCAFile", authority)
    mine = {"tls": True, "tlsCAFile": authority, "tlsCertificateKeyFile": str(folder / "client.pem")}
    with mongod(folder, "secured", *options, client=mine) as port:
        yield port


def said(uri: str) -> str:
    """The error message for a connection string."""
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as raised, Store(Settings(uri=uri)) as store:
        store.require_replica_set()
    text = str(raised.value)
    assert time.monotonic() - began < 5
    assert SECRET not in text
    assert "localhost" not in text
    assert "127.0.0.1" not in text
    assert "\n" not in text
    return text


CA, KEY = "tlsCAFile={folder}/right.pem", "tlsCertificateKeyFile={folder}/client.pem"


def test_tls_with_the_right_certificates_connects(folder: Path, secured: int) -> None:
    """Otherwise, the tests below would prove nothing."""
    uri = f"mongodb://localhost:{secured}/?replicaSet=one&tls=true&{CA}&{KEY}".format(folder=folder)
    with Store(Settings(uri=uri)) as store:
        store.require_replica_set()


CASES = {
    "no-ca": ("localhost", KEY, "certificate cannot be trusted (self-signed certificate"),
    "wrong-ca": ("localhost", f"tlsCAFile={{folder}}/wrong.pem&{KEY}", "Set tlsCAFile in MONGODB_URI"),
    "wrong-host": ("127.0.0.1", f"{CA}&{KEY}", "certificate is not valid for the host in MONGODB_URI"),
    "no-client": ("localhost", CA, "tlsCertificateKeyFile"),
    "no-tls": ("localhost", "tls=false", "add tls=true to MONGODB_URI"),
    "ca-lost": ("localhost", "tlsCAFile={folder}/no.pem", "/no.pem, tlsCAFile in MONGODB_URI, cannot be used: No"),
    "ca-junk": ("localhost", "tlsCAFile={folder}/junk.pem", "/junk.pem, tlsCAFile in MONGODB_URI, cannot be used"),
    "key-lost": ("localhost", f"{CA}&tlsCertificateKeyFile={{folder}}/no.pem", "/no.pem, tlsCertificateKeyFile in"),
    "no-key": ("localhost", f"{CA}&tlsCertificateKeyFile={{folder}}/client.crt", "a certificate and its private key"),
}


@pytest.mark.parametrize(("host", "options", "text"), CASES.values(), ids=CASES)
def test_what_is_wrong_with_tls_is_named(folder: Path, secured: int, host: str, options: str, text: str) -> None:
    """The file and the reason, or the fault of MongoDB's certificate."""
    given = options.format(folder=folder) if "tls=" in options else f"tls=true&{options.format(folder=folder)}"
    assert text in said(f"mongodb://{host}:{secured}/?replicaSet=one&{QUICK}&{given}")


def test_tls_with_a_server_that_has_none_is_told(folder: Path, plain: int) -> None:
    """TLS in the connection string, but not on the server."""
    text = said(f"mongodb://localhost:{plain}/?replicaSet=one&{QUICK}&tls=true&tlsCAFile={folder}/right.pem")
    assert text == "The TLS handshake with MongoDB failed. If the server does not use TLS, remove tls=true."


@pytest.mark.parametrize("options", ["replicaSet=two", "replicaSet=two&directConnection=true"])
def test_another_name_of_the_replica_set_is_told(plain: int, options: str) -> None:
    """The error is not that MongoDB is unavailable."""
    assert "Check replicaSet in MONGODB_URI" in said(f"mongodb://localhost:{plain}/?{QUICK}&{options}")


def test_a_dns_record_that_is_not_there_is_told() -> None:
    """Reading settings does not query DNS, so this is not reported as a malformed connection string."""
    text = said(f"mongodb+srv://analytics:{SECRET}@nohost.invalid/?{QUICK}")
    assert text.startswith("The DNS record for MONGODB_URI (mongodb+srv) cannot be resolved.")


def test_a_host_name_that_is_not_there_is_told() -> None:
    """In a connection string with host names."""
    text = said(f"mongodb://analytics:{SECRET}@nohost.invalid/?{QUICK}")
    assert text.startswith("The host name in MONGODB_URI cannot be resolved.")


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[int]:
    """The port of a server that requires a login. Its user may read the loads."""
    key = folder / "keyfile"
    key.write_text("k" * 64)
    key.chmod(0o600)
    with mongod(folder, "guarded") as port, MongoClient[dict[str, Any]]("localhost", port) as client:
        rights = [{"resource": {"db": "analytics", "collection": "loads"}, "actions": ["find", "insert"]}]
        client.admin.command("createRole", "limited", privileges=rights, roles=[])
        client.admin.command("createUser", "reader", pwd=SECRET, roles=["limited"])
    options = ("--keyFile", str(key))
    with _running(folder / "guarded", port, *options):
        yield port


def _store(port: int, login: str, options: str = "") -> Store:
    return Store(Settings(uri=f"mongodb://{login}localhost:{port}/?replicaSet=one&authSource=admin{options}"))


def test_the_privilege_that_is_missing_is_named(guarded: int) -> None:
    """The command and its target, without its contents."""
    with _store(guarded, f"reader:{SECRET}@") as store:
        assert store.outside.find("loads") == []
        with pytest.raises(StoreUnavailable) as raised:
            store.outside.find("transactions", {"_id": 4711})
    assert str(raised.value) == (
        "The user may not `find` on analytics.transactions. Give the user a role with that privilege on analytics."
    )


@pytest.mark.parametrize(
    ("login", "text"),
    [
        (f"reader:not-{SECRET}@", "MongoDB refused the login. Check the user and the password in MONGODB_URI."),
        (f"nobody:{SECRET}@", "MongoDB refused the login. Check the user and the password in MONGODB_URI."),
        ("", "MongoDB requires a login. Add a user and a password to MONGODB_URI."),
    ],
    ids=["password", "user", "none"],
)
def test_a_refused_login_says_what_to_check(guarded: int, login: str, text: str) -> None:
    """It shows neither user nor password."""
    with _store(guarded, login) as store, pytest.raises(StoreUnavailable) as raised:
        store.outside.find("loads")
    assert str(raised.value) == text


def test_a_key_that_is_there_already_is_told_without_its_value(plain: int) -> None:
    """Also outside of a load."""
    with Store(Settings(uri=f"mongodb://localhost:{plain}/?replicaSet=one")) as store:
        store.outside.insert("loads", [{"_id": "a"}])
        with pytest.raises(DuplicateKey, match="in loads") as raised:
            store.outside.insert("loads", [{"_id": "a", "name": SECRET}])
        assert SECRET not in str(raised.value)
        assert raised.value.documents == ({"_id": "a", "name": SECRET},)


def test_a_snapshot_that_is_too_old_is_worth_another_try(plain: int) -> None:
    """MongoDB keeps history for some minutes; here for none."""
    with Store(Settings(uri=f"mongodb://localhost:{plain}/?replicaSet=one")) as store:
        store.outside.admin("setParameter", 1, minSnapshotHistoryWindowInSeconds=0)
        with store.snapshot() as snapshot:
            snapshot.find("loads")
            for number in range(3):
                store.outside.insert("status", [{"_id": f"old-{number}"}])
                time.sleep(1)
            store.outside.admin("fsync")
            with pytest.raises(StoreUnavailable, match="Try again, or ask for less"):
                snapshot.find("loads")
