# SPDX-License-Identifier: Apache-2.0
"""set.toml: what is read and what is refused, in which words."""

from __future__ import annotations

import pytest

from engine.errors import SourceSetInvalid
from engine.sources.manifest import suggest
from engine.sources.manifest_reader import parse_manifest

FULL = """
format = 1
name = "mara"
title = "Mara"
author = "A. Author"
licence = "MIT"
origin = "rendered"
order = "listed"

[consent]
kind = "consented"
who = "B. Person"
when = 2026-01-31
scope = "streaming"

[[pictures]]
file = "front.png"
notes = "neutral"

[[pictures]]
file = "left.png"
enabled = false
"""


def parse(text: str):
    return parse_manifest(text.encode(), label="mara.bunraku/set.toml", default_name="folder")


def test_everything_is_read():
    manifest = parse(FULL)
    assert (manifest.name, manifest.title, manifest.author) == ("mara", "Mara", "A. Author")
    assert (manifest.licence, manifest.origin, manifest.keeps_order) == ("MIT", "rendered", True)
    assert manifest.consent.describe() == "consented: B. Person, 2026-01-31, streaming"
    assert [picture.file for picture in manifest.pictures] == ["front.png", "left.png"]
    assert [picture.file for picture in manifest.enabled] == ["front.png"]
    assert manifest.pictures[0].notes == "neutral"


def test_little_is_required():
    manifest = parse("format = 1")
    assert manifest.name == "folder"
    assert manifest.pictures == ()
    assert manifest.consent.describe() == "not stated"
    assert not manifest.keeps_order


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("format = 1", "format = 3", r"expected 2, got 3\. Install a newer Bunraku"),
        ("format = 1", "", "expected 2, got none"),
        ("format = 1", "format = true", "expected a whole number, got True"),
        ("format = 1", 'format = "1"', "wrong format: expected a whole number, got '1'"),
        ("author =", "autor =", r"unknown key: autor\. Did you mean author\?"),
        ("author =", "zzz =", r"unknown key: zzz\. Known: author, colour_match"),
        ("who =", "whom =", r"unknown key: consent\.whom\. Did you mean who\?"),
        ("notes =", "note =", r"unknown key: pictures\[1\]\.note\. Did you mean notes\?"),
        (
            '"consented"',
            '"consent"',
            r"expected mine, consented, synthetic, licensed, got 'consent'\. Did you mean cons",
        ),
        ('who = "B. Person"', "", "says consented but not by whom"),
        ('"listed"', '"list"', "expected auto, listed, got 'list'"),
        ("enabled = false", "enabled = 0", r"pictures\[2\]\.enabled: expected true or false, got 0"),
        ('file = "left.png"', "", r"no file in pictures\[2\]"),
        ("left.png", "front.png", r"lists front\.png twice"),
        ('[[pictures]]\nfile = "front.png"', 'pictures = [1]\n[x]\nfile = "front.png"', "not valid TOML|unknown key"),
        ('title = "Mara"', 'title = "Mara', "not valid TOML"),
        ('title = "Mara"', "title = 3", "wrong title: expected a text, got 3"),
        ('scope = "streaming"', "when = 3", "not valid TOML"),
        ('scope = "streaming"', 'until = "soon"', r"consent\.until: expected a day such as 2027-01-31 or withdrawn"),
        ('title = "Mara"', "colour_match = 1", "wrong colour_match: expected true or false, got 1"),
        ('title = "Mara"', 'title = "a\\u001b[2J"', "printable letters, got 'a.x1b"),
        ("enabled = false", "crop = { x = 0.5, y = 0.5 }", r"pictures\[2\]\.crop\.size: expected a number, got None"),
        (
            "enabled = false",
            "crop = { x = 2, y = 0.5, size = 1 }",
            r"wrong pictures\[2\]\.crop: expected x and y",
        ),
        ("enabled = false", "crop = { x = nan, y = 0.5, size = 1 }", r"wrong pictures\[2\]\.crop"),
        ("enabled = false", "crop = { z = 1 }", r"unknown key: pictures\[2\]\.crop\.z"),
    ],
)
def test_mistakes_are_named(old, new, expected):
    assert old in FULL
    with pytest.raises(SourceSetInvalid, match=expected) as caught:
        parse(FULL.replace(old, new))
    assert str(caught.value).endswith("(mara.bunraku/set.toml)")


def test_wrong_shapes_are_named():
    with pytest.raises(SourceSetInvalid, match=r"wrong pictures\[1\]: expected a table, got 1"):
        parse("format = 1\npictures = [1]")
    with pytest.raises(SourceSetInvalid, match="wrong pictures: expected a list"):
        parse("format = 1\npictures = 1")
    with pytest.raises(SourceSetInvalid, match="wrong consent: expected a table"):
        parse("format = 1\nconsent = 1")
    with pytest.raises(SourceSetInvalid, match="not valid TOML"):
        parse_manifest(b"\xff\xfe\x00", label="set.toml", default_name="x")


def test_suggest():
    assert suggest("Mira", ["mara", "juno"]) == "Did you mean mara?"
    assert suggest("zzz", ["mara", "juno"]) == "Known: juno, mara."
    assert suggest("zzz", []) == "None is known."
