# SPDX-License-Identifier: Apache-2.0
"""A file is written whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from engine.files import replacing, write_whole


@pytest.mark.parametrize("durable", [False, True])
def test_text_and_bytes_arrive_and_folders_are_made(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "deep" / "er" / "a.txt"
    write_whole(path, "Änne", durable=durable)
    assert path.read_text(encoding="utf-8") == "Änne"
    write_whole(path, b"\x00\xff", durable=durable)
    assert path.read_bytes() == b"\x00\xff"
    assert os.listdir(path.parent) == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "old")

    def fail(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_two_threads_that_write_one_file_leave_one_of_the_two_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    both_write = threading.Barrier(2, timeout=30)
    names: list[str] = []

    def write(text: str) -> None:
        with replacing(path) as part:
            names.append(part.name)
            with part.open("w") as file:
                file.write(text[:50_000])
                both_write.wait()
                file.write(text[50_000:])
            both_write.wait()

    threads = [threading.Thread(target=write, args=(letter * 100_000,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(names)) == 2
    assert path.read_text() in ("a" * 100_000, "b" * 100_000)
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_suffix_can_stay(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.safetensors", keep_suffix=True) as part:
        assert part.name.endswith(".part.safetensors")
        part.write_text("x")
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_a_block_that_raises_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"

    def write_half() -> None:
        with replacing(path) as part:
            part.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        write_half()
    assert os.listdir(tmp_path) == []
