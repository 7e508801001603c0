"""The certificate files of a TLS connection."""

import ssl
from collections.abc import Callable, Mapping
from typing import Any

from catalog.errors import StoreUnavailable


def require_files(options: Mapping[str, Any]) -> None:
    """Check the files named in a connection string's options, as PyMongo fails with a traceback if one is bad.

    Attributes:
        options: by name in lower case.

    Raises:
        StoreUnavailable: a file cannot be read or is not what the option needs.
    """
    context = ssl.create_default_context()
    password = options.get("tlscertificatekeyfilepassword", "")
    _require(options, "tlsCAFile", context.load_verify_locations, "it contains no certificate in PEM format")
    _require(options, "tlsCRLFile", context.load_verify_locations, "it contains no revocation list in PEM format")
    _require(
        options, "tlsCertificateKeyFile", lambda path: context.load_cert_chain(path, password=password),
        "it must contain a certificate and its private key in PEM format, with the password in "
        "tlsCertificateKeyFilePassword if it has one",
    )  # fmt: skip


def _require(options: Mapping[str, Any], name: str, load: Callable[[str], None], content: str) -> None:
    path = options.get(name.lower())
    if path is None:
        return
    try:
        load(path)
    except OSError as error:  # includes ssl.SSLError
        reason = content if isinstance(error, ssl.SSLError) else error.strerror
        raise StoreUnavailable(
            f"The file {path}, {name} in MONGODB_URI, cannot be used: {reason}", "Set it to the right file"
        ) from None
