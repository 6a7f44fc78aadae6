# SPDX-License-Identifier: Apache-2.0
"""Signed files: valid under C2PA's own reader, and no longer once a byte has changed; keys that stay private."""

from __future__ import annotations

import datetime
import io
import json
import os
import socket
import stat
import sys
from pathlib import Path

import av
import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engine.errors import SigningFailed
from engine.provenance import identity as identity_module
from engine.provenance.identity import identity_path, own_folder, signing_identity
from engine.provenance.manifest import ORIGIN, SOFT_BINDING
from engine.provenance.reading import read_signature
from engine.provenance.signing import sidecar_of, sign_recording
from engine.sinks.mp4 import Mp4Sink
from engine.sinks.png import PngSink, png_bytes
from engine.types import Composite, Origin, OutputFrame
from engine.watermark.gate import seal
from engine.watermark.payload import current_payload

ORIGIN_A = Origin("lite", "ab" * 32, "synthetic")
ORIGIN_B = Origin("lite", "ab" * 32, "consented")


@pytest.fixture(autouse=True)
def own_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who has never run Bunraku."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def frame(level: int = 90, *, at_ns: int = 0, origin: Origin | None = ORIGIN_A) -> OutputFrame:
    return seal(Composite(at_ns, np.full((240, 320, 3), level, np.uint8)), rendered_ns=0, origin=origin)


def recording(path: Path, *origins: Origin | None) -> Path:
    with Mp4Sink(path, fps=25) as sink:
        for n, origin in enumerate(origins or (ORIGIN_A,) * 5):
            sink.send(frame(60 + n, at_ns=n * 40_000_000, origin=origin))
    return path


def test_a_recording_is_valid_under_c2pas_own_reader(tmp_path: Path) -> None:
    path = recording(tmp_path / "take.mp4")
    with c2pa.Reader(str(path)) as reader:
        assert reader.get_validation_state() == "Valid"
        manifest = reader.get_active_manifest()
        failures = reader.get_validation_results()["activeManifest"]["failure"]
    assert {failure["code"] for failure in failures} == {"signingCredential.untrusted"}
    data = {assertion["label"]: assertion["data"] for assertion in manifest["assertions"]}
    actions = data["c2pa.actions.v2"]["actions"]
    assert [action["action"] for action in actions] == ["c2pa.created", "c2pa.watermarked.bound"]
    assert actions[0]["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    assert data[SOFT_BINDING]["alg"] == "org.bunraku.imprint.1"
    assert data[ORIGIN]["characters"] == [
        {"name": "", "model": "lite", "model_sha256": "ab" * 32, "consent": "synthetic"}
    ]
    assert manifest["claim_generator_info"][0]["name"] == "Bunraku"


def test_our_reader_says_what_the_manifest_says(tmp_path: Path) -> None:
    found = read_signature(recording(tmp_path / "take.mp4", ORIGIN_A, ORIGIN_B, ORIGIN_A, None))
    assert found is not None
    assert (found.intact, found.ours, found.sidecar, found.this_installation) == (True, True, False, True)
    assert found.payloads == (current_payload().as_bytes(),)
    assert [character["consent"] for character in found.characters] == ["synthetic", "consented"]


def test_tampering_is_detected(tmp_path: Path) -> None:
    path = recording(tmp_path / "take.mp4", *(ORIGIN_A,) * 30)
    content = bytearray(path.read_bytes())
    content[content.index(b"mdat") + 40] ^= 1
    path.write_bytes(content)
    found = read_signature(path)
    assert found is not None
    assert not found.intact
    assert "assertion.bmffHash.mismatch" in found.problems


def test_the_sidecar_is_left_when_a_remux_drops_the_manifest(tmp_path: Path) -> None:
    path = recording(tmp_path / "take.mp4")
    part = tmp_path / "part.mp4"
    with av.open(str(path)) as source, av.open(str(part), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert read_signature(part) is None, "nothing inside any more"
    part.replace(path)
    found = read_signature(path)
    assert found is not None
    assert (found.sidecar, found.intact) == (True, False)
    assert found.payloads == (current_payload().as_bytes(),)
    assert sidecar_of(path).is_file()


def test_a_picture_is_signed_too_and_still_a_picture(tmp_path: Path) -> None:
    with PngSink(tmp_path) as sink:
        sink.send(frame())
    path = tmp_path / "frame_000001.png"
    found = read_signature(path)
    assert found is not None
    assert found.intact
    content = bytearray(path.read_bytes())
    content[content.rindex(b"IDAT") + 20] ^= 1
    path.write_bytes(content)
    altered = read_signature(path)
    assert altered is not None
    assert not altered.intact


def test_signing_opens_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    assert read_signature(recording(tmp_path / "take.mp4")) is not None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_the_key_is_private_made_once_and_names_nobody(tmp_path: Path) -> None:
    recording(tmp_path / "one.mp4")
    pem = identity_path().read_bytes()
    recording(tmp_path / "two.mp4")
    assert identity_path().read_bytes() == pem
    assert stat.S_IMODE(identity_path().stat().st_mode) == 0o600
    assert [path.name for path in identity_path().parent.iterdir()] == ["identity.pem"]
    for certificate in x509.load_pem_x509_certificates(pem):
        text = certificate.subject.rfc4514_string()
        assert os.environ.get("USER", "\0") not in text
        assert socket.gethostname() not in text
        assert "Bunraku" in text


def test_of_two_processes_that_make_a_key_one_wins() -> None:
    first, second = identity_module._new_identity(), identity_module._new_identity()
    identity_module._write_private(identity_path(), first)
    identity_module._write_private(identity_path(), second)
    assert identity_path().read_bytes() == first


def own_certificate(key: object, digest: hashes.HashAlgorithm | None) -> None:
    name = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Studio"), x509.NameAttribute(NameOID.COMMON_NAME, "Me")]
    )
    root_key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.timezone.utc)
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(usage, True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False)
        .sign(root_key, hashes.SHA256())
    )
    own_folder().mkdir(parents=True)
    (own_folder() / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (own_folder() / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@pytest.mark.parametrize(
    ("make", "algorithm"),
    [
        (lambda: ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (ed25519.Ed25519PrivateKey.generate, "ED25519"),
        (lambda: rsa.generate_private_key(65537, 2048), "PS256"),
    ],
    ids=["P-256", "P-384", "Ed25519", "RSA"],
)
def test_a_certificate_of_ones_own_takes_the_keys_place(tmp_path: Path, make: object, algorithm: str) -> None:
    own_certificate(make(), None)
    assert (signing_identity().algorithm, signing_identity().own) == (algorithm, True)
    found = read_signature(recording(tmp_path / "take.mp4"))
    assert found is not None
    assert found.intact
    assert found.common_name == "Me"
    assert not identity_path().exists(), "no other key was needed"


def test_a_certificate_that_cannot_be_used_is_said_and_the_recording_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own_certificate(ec.generate_private_key(ec.SECP256R1()), None)
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (own_folder() / "key.pem").write_bytes(pem)
    with pytest.raises(SigningFailed, match="do not belong together"):
        signing_identity()
    path = recording(tmp_path / "take.mp4")
    assert "not signed" in caplog.text
    assert "do not belong together" in caplog.text
    assert read_signature(path) is None, "never signed with another key instead"
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["take.mp4"], "nothing half-made is left"
    assert read_signature_of_bytes(png_bytes(frame())) is None


def read_signature_of_bytes(png: bytes) -> str | None:
    try:
        with c2pa.Reader("image/png", io.BytesIO(png)) as reader:
            return str(json.loads(reader.json()))
    except c2pa.C2paError:
        return None


@pytest.mark.parametrize("missing", ["certificate.pem", "key.pem"])
def test_half_a_certificate_is_an_error(missing: str) -> None:
    own_certificate(ec.generate_private_key(ec.SECP256R1()), None)
    (own_folder() / missing).unlink()
    with pytest.raises(SigningFailed, match="cannot be read"):
        signing_identity()


def test_a_damaged_key_file_is_one_sentence() -> None:
    identity_path().parent.mkdir(parents=True)
    identity_path().write_text("nonsense")
    with pytest.raises(SigningFailed, match="cannot be used"):
        signing_identity()


def test_a_missing_recording_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SigningFailed, match=r"not signed.*gone\.mp4"):
        sign_recording(tmp_path / "gone.mp4", [frame().seal])


def test_reading_makes_no_key(tmp_path: Path) -> None:
    path = recording(tmp_path / "take.mp4")
    identity_path().unlink()
    found = read_signature(path)
    assert found is not None
    assert not found.this_installation
    assert not identity_path().exists()


def test_a_huge_or_broken_sidecar_is_ignored(tmp_path: Path) -> None:
    path = recording(tmp_path / "take.mp4")
    content = path.read_bytes()
    (tmp_path / "other.mp4").write_bytes(content[: content.index(b"uuid") - 4])
    (tmp_path / "other.c2pa").write_bytes(os.urandom(2000))
    assert read_signature(tmp_path / "other.mp4") is None
