# SPDX-License-Identifier: Apache-2.0
"""What the documents promise, run: the README's commands and Python session, THIRD_PARTY.md against real metadata."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from engine.cli.commands import app

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def readme_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


COMMANDS = [
    shlex.split(line, comments=True)[1:]
    for block in readme_blocks("sh")
    for line in block.splitlines()
    if line.startswith("bunraku ")
]
NEEDS_A_CAMERA = {"run"}
SLOW = {"bench", "eval", "soak", "verify"}  # verify: of a file that only another command writes


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the README's reader is supposed to have, in short."""
    import av

    clip = ROOT / "assets" / "clips" / "driver.mp4"
    with av.open(str(clip)) as source, av.open(str(tmp_path / "me.mp4"), "w") as short:
        stream = short.add_stream_from_template(source.streams.video[0])
        for count, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.dts is None or count >= 16:
                break
            packet.stream = stream
            short.mux(packet)
    pictures = tmp_path / "my_pictures"
    pictures.mkdir()
    for picture in sorted((ROOT / "assets" / "source_sets" / "otto.bunraku").glob("*.webp"))[:3]:
        shutil.copy(picture, pictures)
    (tmp_path / "clips").mkdir()
    shutil.copy(tmp_path / "me.mp4", tmp_path / "clips" / "one.mp4")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))  # what `set new` makes is nobody else's
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_readme_shows_every_command() -> None:
    group = typer.main.get_command(app)
    shown = {command[0] for command in COMMANDS} | {"demo"}  # demo is what run.py starts
    assert shown == set(group.commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_readme_options_exist(command: list[str]) -> None:
    group = typer.main.get_command(app)
    found = group.commands[command[0]]  # type: ignore[attr-defined]
    if command[0] == "set":
        found = found.commands[command[1]]
    known = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in command if word.startswith("--")} <= known


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c[0] not in NEEDS_A_CAMERA | SLOW | {"doctor"}], ids=" ".join
)
def test_readme_command_runs(command: list[str], workplace: Path) -> None:
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.stderr
    for option in ("--out", "--sheet"):
        if option in command:
            assert (workplace / command[command.index(option) + 1]).stat().st_size > 1000


@pytest.mark.slow
def test_readme_python_session_runs(workplace: Path) -> None:
    (session,) = readme_blocks("python")
    exec(compile(session, "README.md", "exec"), {})
    assert (workplace / "puppet.mp4").stat().st_size > 1000


def third_party_rows() -> dict[str, str]:
    """Package → licence, over the tables of THIRD_PARTY.md that people write."""
    rows: dict[str, str] = {}
    for line in (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8").partition("## Every package")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or len(cells) < 2 or set(cells[0]) <= {"-"}:
            continue
        names, licence = (cells[1], cells[2]) if len(cells) == 3 and cells[0] in EXTRAS else (cells[0], cells[1])
        for name in names.split(","):
            rows[normal(name.split("(")[0])] = licence
    return rows


BUILD_TOOLS = {"setuptools", "pip"}
EXTRAS = {"vcam", "train", "tensorrt", "rtx", "tensorrt, rtx", "gui", "test"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def needed_distributions() -> set[str]:
    """Everything that the project's dependencies and extras bring into this environment."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.findall(r'^\s+"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?[<>=]', text, flags=re.MULTILINE)
    waiting, found = [normal(name) for name in listed], set()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        for requirement in requires:
            if "extra ==" not in requirement:
                waiting.append(normal(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]))
    return found - BUILD_TOOLS


def metadata_licence(name: str) -> str:
    metadata = importlib.metadata.metadata(name)
    classifiers = [c for c in metadata.get_all("Classifier") or [] if c.startswith("License")]
    return " ".join([metadata.get("License-Expression") or "", *classifiers, (metadata.get("License") or "")[:80]])


def test_third_party_lists_every_installed_dependency() -> None:
    assert not needed_distributions() - set(third_party_rows())


def test_the_made_table_of_third_parties_is_up_to_date() -> None:
    """Which packages, not each word of them: another version may state its licence otherwise."""
    spec = importlib.util.spec_from_file_location("third_party", ROOT / ".ci" / "third_party.py")
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    before = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    after = maker.rewritten(before)
    assert maker.rewritten(after) == after

    def packages(text: str) -> list[str]:
        return [
            line.split("|")[1].strip() for line in text.partition("## Every package")[2].splitlines() if "|" in line
        ]

    assert packages(before) == packages(after), "run .ci/third_party.py"
    assert {normal(name) for name in packages(after)} >= needed_distributions()


FAMILIES = {
    "Apache": ("Apache",),
    "MIT": ("MIT",),
    "BSD": ("BSD",),
    "GPL": ("GPL",),
    "MPL": ("MPL", "Mozilla"),
    "PSF": ("PSF", "Python Software Foundation", "matplotlib"),
    "ISC": ("ISC",),
}


@pytest.mark.parametrize("name", sorted(needed_distributions()))
def test_third_party_licence_is_the_real_one(name: str) -> None:
    stated, real = third_party_rows().get(name, ""), metadata_licence(name)
    family = next((family for family in FAMILIES if family in stated), None)
    assert family is not None, f"{name}: {stated!r}"
    if real.strip():
        # Some packages give the text of their licence instead of its name.
        assert any(word in real for word in FAMILIES[family]) or "Copyright" in real or "licens" in real.lower(), real
