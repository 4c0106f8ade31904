"""Who may be believed across a network: encrypted addresses, and batches and rows signed with a shared secret."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import ssl
from collections.abc import Mapping
from pathlib import Path

# The environment variable of the secret: a command line would show it to everyone on the machine.
TOKEN = "RANKWISE_TOKEN"
# A shorter secret could be guessed from a signature.
SHORTEST = 16
SCHEMES = ("tcp", "tls")


def token() -> bytes | None:
    """The secret that this process shares with the others, None if it was given none.

    Raises:
        ValueError: if it is too short to be a secret.
    """
    given = os.environ.get(TOKEN, "").strip().encode()
    if given and len(given) < SHORTEST:
        raise ValueError(f"{TOKEN} must have at least {SHORTEST} characters, not {len(given)}")
    return given or None


def sign(secret: bytes | None, *parts: bytes) -> str:
    """HMAC-SHA256 of the parts, as hexadecimal digits; "" without a secret."""
    if secret is None:
        return ""
    made = hmac.new(secret, digestmod=hashlib.sha256)
    for part in parts:
        # With the lengths, other parts cannot have the same bytes.
        made.update(len(part).to_bytes(8, "big") + part)
    return made.hexdigest()


def genuine(secret: bytes | None, signature: str, *parts: bytes) -> bool:
    """Whether a signature is that of the parts under the secret."""
    return hmac.compare_digest(sign(secret, *parts).encode(), signature.encode())


def is_loopback(address: str) -> bool:
    """Whether a scheduler's address leads to this machine alone.

    Raises:
        ValueError: if it is no address of the form tcp://host:port or tls://host:port.
    """
    scheme, _, place = address.partition("://")
    host, _, port = place.rpartition(":")
    if scheme not in SCHEMES or not host or not port.isdecimal():
        raise ValueError(f"--scheduler takes an address like tls://host:8786 or tcp://127.0.0.1:8786, not {address!r}")
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_untrusted(address: str, asked: Mapping[str, str | None], kept: Mapping[str, str | None]) -> None:
    """Raise a ValueError unless a scheduler is on this machine, or is reached under TLS and with a token.

    asked, kept: the files `ca`, `cert` and `key` as options gave them, and as Dask's configuration has them.
    """
    local = is_loopback(address)
    given = [f"--tls-{name}" for name, file in asked.items() if file]
    if address.startswith("tcp:") and not local:
        fault = "is on a network and not encrypted: whoever is between could read and change what is run"
        raise ValueError(f"{address} {fault}; use tls:// with --tls-ca, --tls-cert and --tls-key")
    if address.startswith("tcp:") and given:
        raise ValueError(f"{given[0]} needs an address tls://, not {address}")
    if address.startswith("tls:"):
        _refuse_no_files(address, {name: asked[name] or kept[name] for name in asked})
    if not local and token() is None:
        raise ValueError(f"{address} is on a network: put the token that its workers have into {TOKEN}")


def _refuse_no_files(address: str, files: Mapping[str, str | None]) -> None:
    """Raise a ValueError unless there are the files that TLS needs, and they hold what they should."""
    for name, what in (("ca", "authority's certificate"), ("cert", "client's certificate")):
        if not files[name]:
            raise ValueError(f"{address} needs the {what}: --tls-{name} FILE, or Dask's own configuration")
    for name, file in files.items():
        if file and not Path(file).is_file():
            raise ValueError(f"--tls-{name}: there is no file {file}")
    ca, cert, key = (str(files[name] or files["cert"]) for name in ("ca", "cert", "key"))
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:  # as an SSLError is
        raise ValueError(f"--tls-ca: {ca} holds no certificate in PEM format") from error
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as error:
        raise ValueError(f"--tls-cert: no certificate in {cert} with its key, unlocked, in {key}") from error
