# SPDX-License-Identifier: Apache-2.0
"""A stranger's file: what no set holds is refused with a sentence, before anything is unpacked."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from engine.errors import SourceError, SourceSetExists, SourceSetInvalid, SourceUnreadable
from engine.sets.draft import open_draft
from engine.sets.save import save_draft
from engine.sets.share import export_set, import_set, read_foreign
from engine.sources.archive_safety import MAX_MEMBERS
from tests.helpers.mutants import SEED_TOML, make_zip, seed_pictures
from tests.helpers.source_faces import picture_bytes, portrait_rgb
from tests.unit.test_sets_draft import make_draft

_ONE = b'format = 2\nname = "mara"\n[[pictures]]\nfile = "front.png"\n'
_PICTURE = seed_pictures()["rgb.png"]


def refused(path: Path, data: bytes, words: str, kind: type[SourceError] = SourceSetInvalid) -> None:
    path.write_bytes(data)
    with pytest.raises(kind, match=words) as caught:
        read_foreign(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.isprintable()


@pytest.fixture
def zip_path(tmp_path: Path) -> Path:
    return tmp_path / "mara.bunraku.zip"


def with_member(info: zipfile.ZipInfo, data: bytes = b"x") -> bytes:
    buffer = io.BytesIO(make_zip({"set.toml": _ONE, "front.png": _PICTURE}))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(info, data)
    return buffer.getvalue()


def test_a_good_set_comes_through(zip_path: Path, tmp_path: Path) -> None:
    zip_path.write_bytes(
        make_zip({"set.toml": SEED_TOML, "front.png": _PICTURE, "left.jpg": _PICTURE, "evil.sh": b"#!"})
    )
    steps: list[tuple[int, int | None]] = []
    done = import_set(zip_path, folder=tmp_path / "sets", advance=lambda *step: steps.append(step))
    assert (done.name, done.count, done.consent.who) == ("mara", 2, "B. Person")
    assert steps[-1] == (2, 2)
    # The second was a PNG whatever its name said; what is no picture stays behind.
    assert sorted(p.name for p in done.path.iterdir()) == ["front.png", "left.png", "set.toml"]
    assert open_draft(done.path).entries[0].crop is not None
    with pytest.raises(SourceSetExists, match="already"):
        import_set(zip_path, folder=tmp_path / "sets")
    assert import_set(zip_path, folder=tmp_path / "sets", name="other").name == "other"
    assert import_set(zip_path, folder=tmp_path / "sets", replace=True).name == "mara"


@pytest.mark.parametrize(
    "name", ["../outside.png", "a/../../outside.png", "/etc/passwd", "C:/x.png", "a\\..\\b.png", "//host/share/x"]
)
def test_paths_out_of_the_folder(name: str, zip_path: Path) -> None:
    refused(zip_path, with_member(zipfile.ZipInfo(name)), "outside its own folder")


def test_a_path_in_set_toml_leads_nowhere(zip_path: Path) -> None:
    toml = _ONE.replace(b"front.png", b"../../secret.png")
    refused(zip_path, make_zip({"set.toml": toml, "front.png": _PICTURE}), "are not there", SourceError)


def test_links_and_devices(zip_path: Path) -> None:
    for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR):
        info = zipfile.ZipInfo("mara.bunraku/link.png")
        info.external_attr = (kind | 0o777) << 16
        refused(zip_path, with_member(info, b"/etc/passwd"), "holds a link or a device")


def test_a_link_in_a_folder(tmp_path: Path) -> None:
    folder = save_draft(make_draft(), tmp_path / "mara.bunraku")
    (folder / "p0.png").unlink()
    (folder / "p0.png").symlink_to("/etc/hostname")
    with pytest.raises(SourceSetInvalid, match="holds a link: p0"):
        import_set(folder, folder=tmp_path / "sets")


def test_bombs(zip_path: Path) -> None:
    zeros = b"\0" * (20 * 2**20)
    refused(
        zip_path, make_zip({"set.toml": _ONE, "front.png": zeros}, method=zipfile.ZIP_DEFLATED), "at most 200 times"
    )
    many = {f"{i}.bin": b"" for i in range(MAX_MEMBERS + 1)}
    refused(zip_path, make_zip({"set.toml": _ONE, **many}), "too many files: expected at most 2000, got 2002")


def test_a_bomb_that_lies_about_its_size(zip_path: Path) -> None:
    data = bytearray(make_zip({"set.toml": _ONE, "front.png": b"\0" * (8 * 2**20)}, method=zipfile.ZIP_DEFLATED))
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 1000)  # unpacked size, in the directory
    refused(zip_path, bytes(data), "cannot be unpacked|not a picture|damaged", SourceUnreadable)


def test_members_over_each_other(zip_path: Path) -> None:
    data = bytearray(make_zip({"set.toml": _ONE, "front.png": _PICTURE * 4, "b.png": _PICTURE}))
    at = data.rfind(b"PK\x01\x02")
    for offset in (20, 24):
        data[at + offset : at + offset + 4] = struct.pack("<I", len(data) * 2)
    refused(zip_path, bytes(data), "claim to hold")


def test_encrypted_odd_and_64_bit_zips(zip_path: Path) -> None:
    data = bytearray(make_zip({"set.toml": _ONE, "front.png": _PICTURE}))
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    refused(zip_path, bytes(data), "is encrypted")
    refused(
        zip_path,
        make_zip({"set.toml": _ONE, "front.png": _PICTURE}, method=zipfile.ZIP_LZMA),
        "packed in an unusual way",
    )
    plain = make_zip({"set.toml": _ONE, "front.png": _PICTURE})
    end = plain.rfind(b"PK\x05\x06")
    refused(zip_path, plain[:end] + b"PK\x06\x07" + bytes(16) + plain[end:], "64-bit")
    refused(
        zip_path,
        plain[:end] + plain[end : end + 12] + struct.pack("<I", 2**30) + plain[end + 16 :],
        "directory of 1024",
    )


def test_names_that_differ_only_in_case(zip_path: Path) -> None:
    refused(zip_path, with_member(zipfile.ZipInfo("mara.bunraku/FRONT.PNG")), "twice")


def test_terminal_commands_in_texts(zip_path: Path) -> None:
    for text in (b'title = "\\u001b]0;owned\\u0007"', b'title = "a\\nb"', b'"\\u001b[2J" = 1'):
        refused(
            zip_path, make_zip({"set.toml": _ONE.replace(b"[[", text + b"\n[["), "front.png": _PICTURE}), "title|key"
        )
    refused(zip_path, with_member(zipfile.ZipInfo("mara.bunraku/\x1b[2J.png")), "no set has")


def test_huge_pictures_and_wrong_types(zip_path: Path) -> None:
    huge = picture_bytes(Image.new("1", (8000, 8000)))
    refused(
        zip_path,
        make_zip({"set.toml": _ONE, "front.png": huge}),
        "expected at most 32 million pixels",
        SourceUnreadable,
    )
    for data, words in ((b"#!/bin/sh\n" * 20, "is not a picture"), (b"", "is empty"), (_PICTURE[:200], "damaged")):
        refused(zip_path, make_zip({"set.toml": _ONE, "front.png": data}), words, SourceUnreadable)
    toml = b"format = 2\n" + b"".join(b'[[pictures]]\nfile = "%d.png"\n' % i for i in range(65))
    files = {f"{i}.png": _PICTURE for i in range(65)}
    refused(zip_path, make_zip({"set.toml": toml, **files}), "at most 64, got 65")


def test_many_large_pictures_at_once(zip_path: Path) -> None:
    flat = picture_bytes(Image.new("1", (5500, 5500)))
    toml = b"format = 2\n" + b"".join(b'[[pictures]]\nfile = "%d.png"\n' % i for i in range(12))
    refused(zip_path, make_zip({"set.toml": toml, **{f"{i}.png": flat for i in range(12)}}), "too many pixels")


def test_a_jpeg_made_to_keep_a_program_busy(zip_path: Path) -> None:
    jpeg = picture_bytes(portrait_rgb((96, 96)), "JPEG", progressive=True)
    scan = jpeg.rfind(b"\xff\xda")
    slow = jpeg[:scan] + jpeg[scan:-2] * 200 + jpeg[-2:]
    refused(zip_path, make_zip({"set.toml": _ONE, "front.png": slow}), "keep a program busy", SourceUnreadable)


@pytest.mark.parametrize(
    "toml", [b"format = 2\na=" + b"[" * 5000, b"\xff\xfe", b"format = 9", b"format = 2\n" + b"#" * 70000]
)
def test_broken_set_files(toml: bytes, zip_path: Path) -> None:
    refused(zip_path, make_zip({"set.toml": toml, "front.png": _PICTURE}), "The set file|nested|too long")


def test_neither_zip_nor_folder(zip_path: Path) -> None:
    for data in (b"", b"PK", _ONE, make_zip({"set.toml": _ONE, "front.png": _PICTURE})[:-30]):
        refused(zip_path, data, "neither a folder, a picture nor a zip")


def test_export_and_import_round(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a telling camera"
    photo = picture_bytes(portrait_rgb((96, 96)), "JPEG", exif=exif)
    folder = save_draft(make_draft(2), tmp_path / "mara.bunraku")
    (folder / "p1.jpg").write_bytes(photo)
    text = (folder / "set.toml").read_text().replace("p1.png", "p1.jpg")
    (folder / "set.toml").write_text(text)
    (folder / "p1.png").unlink()
    (folder / "cache").mkdir()
    (folder / "cache" / "p0.npz").write_bytes(b"x")
    packed = export_set(folder, tmp_path / "out.bunraku.zip")
    with zipfile.ZipFile(packed) as archive:
        assert sorted(archive.namelist()) == [f"mara.bunraku/{n}" for n in ("p0.png", "p1.jpg", "set.toml")]
        assert b"a telling camera" not in b"".join(archive.read(n) for n in archive.namelist())
    with pytest.raises(SourceSetExists):
        export_set(folder, packed)
    done = import_set(packed, folder=tmp_path / "sets")
    assert open_draft(done.path).manifest == open_draft(folder).manifest
    again = export_set(folder, tmp_path / "again.bunraku.zip")
    assert again.read_bytes() == packed.read_bytes()
