# SPDX-License-Identifier: Apache-2.0
"""Whose signature it is: a key made once per installation, or the user's own certificate.

The installation's key (ECDSA, P-256) and its certificate lie in one file in the user's data folder, readable by them
alone; the key of the root that issued it is thrown away. Its names say Bunraku and a number, nothing about a person or
machine. To sign as somebody, put `certificate.pem` (the chain, leaf first) and `key.pem` (no password) into the folder
`own_folder()`; a certificate that cannot be used is an error and never replaced by the other.

What signatures of a key made at home prove: that a file has not changed since, and that two files come from the same
installation. Not who made it: nobody has vouched for the key.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import SigningFailed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

__all__ = ["Identity", "identity_path", "own_folder", "signing_identity"]

_LIFETIME_DAYS = 3650
_FILE = "identity.pem"
_OWN_CERTIFICATE, _OWN_KEY = "certificate.pem", "key.pem"


@dataclass(frozen=True, slots=True)
class Identity:
    """chain_pem: certificates, leaf first. algorithm: C2PA's name of it. sign: bytes → signature. serial: the leaf's.

    own: the user's certificate rather than the installation's.
    """

    chain_pem: str
    algorithm: str
    sign: Callable[[bytes], bytes]
    serial: int
    own: bool


def identity_path() -> Path:
    """Return where the installation's key and certificate are kept."""
    from platformdirs import user_data_path

    return user_data_path("bunraku", appauthor=False) / "signing" / _FILE


def own_folder() -> Path:
    """Return where the user's `certificate.pem` and `key.pem` are looked for."""
    from platformdirs import user_config_path

    return user_config_path("bunraku", appauthor=False) / "signing"


def signing_identity() -> Identity:
    """Return the user's certificate if there is one, else the installation's, which is made on first use.

    Raises:
        SigningFailed: a file cannot be read, written or understood.
    """
    certificate, key = own_folder() / _OWN_CERTIFICATE, own_folder() / _OWN_KEY
    if certificate.exists() or key.exists():
        return _load(_read(certificate), _read(key), own=True, path=certificate)
    path = identity_path()
    if not path.exists():
        _write_private(path, _new_identity())
    pem = _read(path)
    return _load(pem, pem, own=False, path=path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SigningFailed(
            f"The signing key cannot be read: {error.strerror or error} ({path}).",
            hint="A certificate of your own needs certificate.pem and key.pem; remove both to use the installation's.",
            path=str(path),
        ) from error


@functools.lru_cache(maxsize=2)
def _load(certificate_pem: bytes, key_pem: bytes, *, own: bool, path: Path) -> Identity:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        chain = x509.load_pem_x509_certificates(certificate_pem)
        key = load_pem_private_key(key_pem, password=None)
        algorithm, sign = _signer(key, belongs_to=chain[0])
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningFailed(
            f"The signing key or certificate cannot be used: {error} ({path}).",
            hint="Expected PEM: the chain, leaf first, and its key without a password (P-256, P-384, Ed25519 or RSA)."
            if own
            else "Delete the file; a new one is made.",
            path=str(path),
        ) from error
    return Identity(_chain_pem(chain), algorithm, sign, chain[0].serial_number, own)


def _signer(key: PrivateKeyTypes, *, belongs_to: Certificate) -> tuple[str, Callable[[bytes], bytes]]:
    """Return C2PA's name of the key's algorithm, and what signs with it.

    Raises:
        ValueError: the key is of another kind, or not the certificate's.
    """
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    if belongs_to.public_key() != key.public_key():
        raise ValueError("key and certificate do not belong together")
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in ("secp256r1", "secp384r1"):
        digest: hashes.HashAlgorithm = hashes.SHA256() if key.curve.name == "secp256r1" else hashes.SHA384()
        length = key.key_size // 8
        curve_key = key

        def sign_ec(data: bytes) -> bytes:
            numbers = decode_dss_signature(curve_key.sign(data, ec.ECDSA(digest)))
            return b"".join(number.to_bytes(length, "big") for number in numbers)  # COSE's form, not DER

        return ("ES256" if key.key_size == 256 else "ES384"), sign_ec
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ED25519", key.sign
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
        rsa_key = key
        return "PS256", lambda data: rsa_key.sign(data, pss, hashes.SHA256())
    raise ValueError(f"keys of this kind are not used for signing: {type(key).__name__}")


def _chain_pem(chain: list[Certificate]) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return "".join(certificate.public_bytes(Encoding.PEM).decode("ascii") for certificate in chain)


def _new_identity() -> bytes:
    """Return a key, its certificate and the root's that issued it, as PEM."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate(root_key, issuer=None, issuer_key=root_key)
    leaf = _certificate(key, issuer=root, issuer_key=root_key)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret + _chain_pem([leaf, root]).encode("ascii")


def _certificate(
    key: EllipticCurvePrivateKey, *, issuer: Certificate | None, issuer_key: EllipticCurvePrivateKey
) -> Certificate:
    """Return a certificate that meets C2PA's profile (specification 2.2, 14.5): a root, or a leaf for signing."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def usage(*, signs: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=signs,
            crl_sign=signs,
            encipher_only=False,
            decipher_only=False,
        )

    serial, now = x509.random_serial_number(), datetime.datetime.now(datetime.timezone.utc)
    role = "Root" if issuer is None else "Signer"
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bunraku, key of one installation"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{role} {serial % 16**8:08x}"),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.subject if issuer is not None else name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=_LIFETIME_DAYS))
        .add_extension(
            x509.BasicConstraints(ca=issuer is None, path_length=0 if issuer is None else None), critical=True
        )
        .add_extension(usage(signs=issuer is None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if issuer is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _write_private(path: Path, pem: bytes) -> None:
    """Write a file that its owner alone may read; of two processes that do so at once, one wins for both."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix="identity-", suffix=".part")  # made with mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(pem)
            with contextlib.suppress(FileExistsError):
                os.link(part, path)
        finally:
            os.unlink(part)
    except OSError as error:
        raise SigningFailed(
            f"The signing key of this installation cannot be written: {error.strerror or error} ({path}).",
            hint="Check the folder's rights.",
            path=str(path),
        ) from error
