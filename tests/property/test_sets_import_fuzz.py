# SPDX-License-Identifier: Apache-2.0
"""The importer against thousands of broken and hostile files: always a sentence, no crash, no hang, little memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import SourceError
from engine.sets.share import read_foreign
from engine.sources.manifest import dump_manifest
from engine.sources.manifest_reader import parse_manifest
from tests.helpers.mutants import make_zip, seed_pictures

ROOT = Path(__file__).resolve().parents[2]
_CASES, _LIMIT_S = 12_000, 300.0  # the limit is for a machine that does ten things at once; alone it takes 20 s
_PICTURE = seed_pictures()["rgb.png"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="memory limits and alarms are POSIX")
@pytest.mark.timeout(400)
def test_twelve_thousand_broken_files() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.fuzz_import", str(_CASES), "20261125", str(_LIMIT_S)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-2000:]}"
    found = json.loads(done.stdout.strip().splitlines()[-1])
    print(found)
    assert found["wrong"] == []
    assert found["cases"] >= 10_000
    assert found["slowest_s"] < 5.0
    assert found["peak_mib"] < 1024
    # It must have reached the pictures and the set file, not only the zip's directory.
    assert found["outcomes"]["read"] > 100
    assert found["outcomes"]["SourceUnreadable"] > 1000
    assert found["outcomes"]["SourceSetInvalid"] > 1000


_TEXTS = st.text(max_size=40)
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_TEXTS, inner, max_size=4)),
    max_leaves=12,
)
_KEYS = st.one_of(
    st.sampled_from(["format", "name", "order", "colour_match", "consent", "pictures", "title", "licence"]), _TEXTS
)


def _toml(value: object) -> str:
    """Write a value as TOML, so that what is generated is read and not only refused."""
    if value is None:
        return '""'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    if isinstance(value, float):
        return "nan" if value != value else f"{value!r}".replace("inf", "inf")
    return json.dumps(value)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(_KEYS, _VALUES, max_size=6), st.sampled_from([1, 2, 2, 2, 3]))
def test_any_set_file_is_read_or_refused(data: dict[str, object], version: int) -> None:
    lines = [f"{json.dumps(key)} = {_toml(value)}" for key, value in {**data, "format": version}.items()]
    text = "\n".join(lines).encode("utf-8", "surrogatepass")
    sentence = "(set.toml)"
    try:
        manifest = parse_manifest(text, label="set.toml", default_name="d")
    except SourceError as error:
        sentence = str(error)
    else:
        assert parse_manifest(dump_manifest(manifest), label="set.toml", default_name="d") == manifest
    assert sentence.isprintable()
    assert sentence.endswith("(set.toml)")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.text(max_size=30), st.binary(max_size=60)), max_size=6), st.booleans())
def test_any_names_in_a_zip_are_read_or_refused(members: list[tuple[str, bytes]], with_picture: bool) -> None:
    files = {name.encode("utf-8", "replace").decode(): data for name, data in members}
    if with_picture:
        files["front.png"] = _PICTURE
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.bunraku.zip"
        try:
            path.write_bytes(make_zip(files, folder=""))
        except ValueError:  # zipfile itself does not write such a name
            return
        sentence = ""
        try:
            draft = read_foreign(path)
        except SourceError as error:
            sentence = str(error)
        else:
            assert all(entry.file.replace("_", "").replace(".", "").isalnum() for entry in draft.entries)
        assert sentence.isprintable()
        assert [p.name for p in Path(folder).iterdir()] == ["x.bunraku.zip"]
