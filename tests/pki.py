"""Certificates made on the spot: an authority, and what it issues to servers and clients, as PEM files in a folder."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
USES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key, as files and as DER."""

    cert: Path
    key: Path
    der: bytes


class Authority:
    """Signs what it is asked for; `file` is its own certificate."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = _called(name)
        made = _blank(self._name, self._name, self._key, 30 * DAY)
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        made = made.add_extension(x509.BasicConstraints(True, 0), True).add_extension(usage, True)
        self._own = made.sign(self._key, hashes.SHA256())
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._own.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, use: str = "server", lasts: datetime.timedelta = DAY) -> Issued:
        """For 127.0.0.1 and `name`, which is the file's name, too."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        made = _blank(_called(name), self._name, key, lasts)
        made = made.add_extension(x509.SubjectAlternativeName(names), False)
        made = made.add_extension(x509.ExtendedKeyUsage([USES[use]]), False)
        made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False)
        signed = made.sign(self._key, hashes.SHA256())
        cert, secret = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
        cert.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        return Issued(cert, secret, signed.public_bytes(serialization.Encoding.DER))

    def trusted(self, shows: Issued | None = None) -> ssl.SSLContext:
        """A client's context that believes this authority and shows a certificate, if it has one."""
        made = ssl.create_default_context(cafile=self.file)
        if shows is not None:
            made.load_cert_chain(shows.cert, shows.key)
        return made


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _blank(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lasts: datetime.timedelta) -> x509.CertificateBuilder:
    made = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), NOW - 2 * DAY, NOW + lasts)
    return made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)


def self_signed() -> str:
    """A certificate for 127.0.0.1 that is its own authority, and its key, as PEM."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "figway test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return (made.public_bytes(serialization.Encoding.PEM) + secret).decode()
