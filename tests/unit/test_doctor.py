# SPDX-License-Identifier: Apache-2.0
"""Doctor: what each check finds, that a failing line carries its fix, and that one broken check hides nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine import doctor
from engine.assets import asset_path
from engine.capture import microphone
from engine.doctor import Check, Verdict
from engine.errors import MicrophoneMissing, ModelMismatch
from engine.provenance.identity import own_folder, signing_identity
from engine.runtime import manifest


def only(check: object) -> Check:
    (found,) = doctor._run(check)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(
    ("version", "specifier", "fits"),
    [
        ("1.26.4", ">=1.26,<2", True),
        ("2.0.0", ">=1.26,<2", False),
        ("0.10.21", "==0.10.21", True),
        ("0.10.30", "==0.10.21", False),
        ("4.11.0.86", ">=4.11,<4.12", True),
        ("4.12.0.88", ">=4.11,<4.12", False),
        ("2.13.0+cpu", "==2.13.0", True),
        ("4.25", ">=4.25.3", False),
        ("1.0", "", True),
    ],
)
def test_version_bounds(version: str, specifier: str, fits: bool) -> None:
    assert doctor._satisfies(version, specifier) is fits


class TestLibraries:
    def found(self, monkeypatch: pytest.MonkeyPatch, installed: dict[str, str]) -> list[Check]:
        requires = ["numpy<2,>=1.26", "mediapipe==0.10.21", 'torch==2.13.0; extra == "train"']
        monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda _name: requires)
        monkeypatch.setattr(doctor, "_version", lambda name: installed.get(name, ""))
        return doctor._run(doctor._check_libraries)

    def test_all_well(self, monkeypatch: pytest.MonkeyPatch) -> None:
        (check,) = self.found(monkeypatch, {"numpy": "1.26.4", "mediapipe": "0.10.21"})
        assert check.verdict is Verdict.OK
        assert "numpy 1.26.4" in check.found
        assert "torch" not in check.found

    def test_names_every_wrong_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        (check,) = self.found(monkeypatch, {"numpy": "2.4.0"})
        assert check.verdict is Verdict.FAILED
        assert check.found == "numpy 2.4.0 is installed, expected <2,>=1.26; mediapipe is not installed"
        assert check.fix

    def test_a_second_opencv_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        checks = self.found(monkeypatch, {"numpy": "1.26.4", "mediapipe": "0.10.21", "opencv-python-headless": "5.0.0"})
        assert [check.verdict for check in checks] == [Verdict.OK, Verdict.FAILED]
        assert "pip uninstall -y opencv-python-headless" in checks[1].fix


def test_python_outside_the_range_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_PYTHONS", ((3, 8), (3, 9)))
    check = only(doctor._check_python)
    assert check.verdict is Verdict.FAILED
    assert check.fix


class TestGpu:
    def test_no_driver_is_not_a_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor.shutil, "which", lambda _name: None)
        assert only(doctor._check_gpu).verdict is Verdict.MISSING

    @pytest.mark.parametrize(("code", "verdict"), [(0, Verdict.OK), (9, Verdict.FAILED)])
    def test_says_what_nvidia_smi_says(self, monkeypatch: pytest.MonkeyPatch, code: int, verdict: Verdict) -> None:
        done = subprocess.CompletedProcess([], code, stdout="RTX 4090, 580.1, 24564 MiB\n", stderr="")
        monkeypatch.setattr(doctor.shutil, "which", lambda _name: "/usr/bin/nvidia-smi")
        monkeypatch.setattr(doctor.subprocess, "run", lambda *_args, **_kwargs: done)
        check = only(doctor._check_gpu)
        assert check.verdict is verdict
        assert "RTX 4090" in check.found
        assert bool(check.fix) is (verdict is Verdict.FAILED)


class TestDisk:
    def test_a_full_disk_fails_with_its_fix(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor, "_FREE_NEEDED_GB", 1e9)
        checks = doctor._run(doctor._check_disk)
        assert [check.verdict for check in checks[:2]] == [Verdict.FAILED, Verdict.FAILED]
        assert "Free at least" in checks[0].fix

    def test_an_unwritable_folder_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor.os, "access", lambda *_args: False)
        assert doctor._run(doctor._check_disk)[0].verdict is Verdict.FAILED


class TestModels:
    def copy_model(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A models folder of our own with one small model in it."""
        folder = tmp_path / "models" / "tiny"
        folder.mkdir(parents=True)
        (folder / "animate.onnx").write_bytes(b"graph")
        values = json.loads(asset_path("models", "lite", "manifest.json").read_text(encoding="utf-8"))
        values["files"] = {"animate.onnx": hashlib.sha256(b"graph").hexdigest()}
        (folder / "manifest.json").write_text(json.dumps(values))
        monkeypatch.setattr(manifest, "asset_root", lambda: tmp_path)
        monkeypatch.setattr(doctor, "asset_root", lambda: tmp_path)
        return folder

    def test_matching_hashes_are_ok(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.copy_model(tmp_path, monkeypatch)
        check = only(doctor._check_models)
        assert (check.name, check.verdict) == ("model tiny", Verdict.OK)

    @pytest.mark.parametrize("damage", ["changed", "missing"])
    def test_a_damaged_file_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
        file = self.copy_model(tmp_path, monkeypatch) / "animate.onnx"
        file.unlink() if damage == "missing" else file.write_bytes(b"other")
        check = only(doctor._check_models)
        assert check.verdict is Verdict.FAILED
        assert "animate.onnx" in check.found
        assert check.fix

    def test_no_model_at_all_fails(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = self.copy_model(tmp_path, monkeypatch)
        (file / "manifest.json").unlink()
        assert only(doctor._check_models).verdict is Verdict.FAILED


def test_a_broken_check_is_a_finding_not_a_crash() -> None:
    def _check_odd_thing() -> Iterator[Check]:
        yield Check("odd", Verdict.OK, "fine so far")
        raise RuntimeError("a library exploded")

    check = only(_check_odd_thing)
    assert (check.name, check.verdict) == ("odd thing", Verdict.FAILED)
    assert "a library exploded" in check.found


def test_our_own_errors_keep_their_words() -> None:
    def _check_model() -> Iterator[Check]:
        raise ModelMismatch("The file differs.", hint="Get it again.")
        yield

    assert only(_check_model) == Check("model", Verdict.FAILED, "The file differs.", "Get it again.")


def test_every_check_runs_here_and_failures_carry_a_fix() -> None:
    checks = doctor.examine()
    names = {check.name for check in checks}
    wanted = {"python", "tracking", "engine", "gpu", "cameras", "virtual camera", "video encoder", "model lite"}
    assert wanted <= names
    assert all(check.found for check in checks)
    assert all(check.fix for check in checks if check.verdict is Verdict.FAILED)
    assert not any(check.fix for check in checks if check.verdict is Verdict.OK)
    assert all(set(check.as_dict()) == {field.name for field in dataclasses.fields(Check)} for check in checks)


class TestSigning:
    @pytest.fixture(autouse=True)
    def new_user(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def test_asking_makes_no_key(self, tmp_path: Path) -> None:
        check = only(doctor._check_signing)
        assert check.verdict is Verdict.OK
        assert "first recording" in check.found
        assert not (tmp_path / "data").exists()

    def test_the_installations_key(self) -> None:
        signing_identity()
        assert "this installation's key, ES256" in only(doctor._check_signing).found

    def test_half_a_certificate_of_ones_own(self, tmp_path: Path) -> None:
        own_folder().mkdir(parents=True)
        (own_folder() / "certificate.pem").write_text("nonsense")
        check = only(doctor._check_signing)
        assert check.verdict is Verdict.FAILED
        assert "key.pem" in check.found
        assert check.fix


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        ([SimpleNamespace(name="Headset")], Verdict.OK, "Headset"),
        ([], Verdict.MISSING, "recordings have no sound"),
        (MicrophoneMissing("PortAudio is not there.", hint="Install it."), Verdict.MISSING, "PortAudio is not there."),
    ],
)
def test_microphones_are_counted_and_none_is_opened(
    found: object, verdict: Verdict, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def list_them() -> object:
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(microphone, "list_microphones", list_them)
    monkeypatch.setattr(microphone, "open_microphone", lambda *_: pytest.fail("a check opens nothing"))
    check = only(doctor._check_microphones)
    assert check.verdict is verdict
    assert words in check.found
    assert bool(check.fix) == (verdict is not Verdict.OK)
