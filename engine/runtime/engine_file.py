# SPDX-License-Identifier: Apache-2.0
"""Engine files of TensorRT and TensorRT for RTX: where they lie, what they were built from, and whether they are whole.

    FOLDER/tensorrt_rtx-1.7.1.116/lite.animate.sm86-sm89-sm120.fp32.n1-4-16k2.90814dc4ff85.engine
    FOLDER/tensorrt_rtx-1.7.1.116/lite.animate.sm86-sm89-sm120.fp32.n1-4-16k2.90814dc4ff85.json

The name says everything that an engine depends on, so that an old one is never taken for a new one; the record beside
it repeats that in full and holds the engine's own size and hash. `engine.build` writes both. Nothing here imports
TensorRT, so that a missing or damaged engine can be reported where it is not installed.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from platformdirs import user_cache_path

from engine.errors import EngineMismatch, EngineMissing
from engine.runtime.tensorrt_library import RTX_TARGETS

__all__ = [
    "ENGINE_FOLDER_VARIABLE",
    "ENGINE_FORMAT",
    "EngineKey",
    "EngineRecord",
    "build_command",
    "default_folder",
    "describe_record",
    "difference",
    "engine_path",
    "find_engine",
    "find_for_gpu",
    "list_engines",
    "record_path",
]

ENGINE_FORMAT = 1  # raised whenever the same key comes to mean another engine: precision pass, builder settings
ENGINE_FOLDER_VARIABLE = "BUNRAKU_ENGINES"  # where the cache folder cannot be written
_HASH_DIGITS = 12


@dataclass(frozen=True, slots=True)
class EngineKey:
    """Everything that an engine depends on.

    model: folder name. graph: stem of the ONNX file. graph_sha256: of the ONNX file, before any change of precision.
    flavour: `tensorrt` or `tensorrt_rtx`. version: of that library. architectures: GPUs, e.g. `sm89`.
    precision: `fp32`, or `fp16` where the manifest's islands run in half precision. profile: numbers of pictures.
    """

    model: str
    graph: str
    graph_sha256: str
    flavour: str
    version: str
    architectures: tuple[str, ...]
    precision: str
    profile: str


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """An engine file as it lies there.

    key: what it was built from; None where no record says so. fault: what is wrong with it, to be put after the
    file's name in a sentence; empty for a good one.
    """

    path: Path
    size_bytes: int
    key: EngineKey | None
    fault: str

    def require(self, key: EngineKey) -> Path:
        """Return the path of a good engine.

        Raises:
            EngineMismatch: it is truncated, damaged or stale; the hint is the command that builds it again.
        """
        if self.fault:
            raise EngineMismatch(
                f"The engine of '{key.model}' {self.fault}: {self.path}.",
                hint=f"Run: {build_command(key.model, key.flavour)}",
                path=str(self.path),
            )
        return self.path


def default_folder() -> Path:
    """Return where engines are kept: `$BUNRAKU_ENGINES`, else the cache, since they can be made again."""
    chosen = os.environ.get(ENGINE_FOLDER_VARIABLE, "")
    return Path(chosen).expanduser() if chosen else user_cache_path("bunraku", appauthor=False) / "engines"


def build_command(model: str, flavour: str, architecture: str = "") -> str:
    """Return the command line that builds a model's engines; for a GPU that it does not build for unless told to."""
    named = flavour == "tensorrt_rtx" and architecture not in ("", *RTX_TARGETS)
    return f"python build_engines.py --flavour {flavour} --only {model}" + (
        f" --target {architecture}" if named else ""
    )


def engine_path(folder: Path, key: EngineKey) -> Path:
    """Return the file of an engine with this key."""
    name = ".".join(
        [key.model, key.graph, "-".join(key.architectures), key.precision, key.profile, key.graph_sha256[:_HASH_DIGITS]]
    )
    return folder / f"{key.flavour}-{key.version}" / f"{name}.engine"


def record_path(engine: Path) -> Path:
    """Return the record beside an engine file."""
    return engine.with_suffix(".json")


def find_engine(folder: Path, key: EngineKey) -> EngineRecord | None:
    """Look an engine up and read all of it; None where there is none.

    Cost: reads and hashes the file, a few milliseconds a megabyte.
    """
    path = engine_path(folder, key)
    if not path.is_file():
        return None
    record = _examine(path)
    if record.fault or record.key is None or record.key == key:
        return record
    return EngineRecord(path, record.size_bytes, record.key, difference(record.key, key))


def find_for_gpu(folder: Path, wanted: EngineKey) -> Path:
    """Return a good engine for the one GPU architecture in `wanted`, whichever others it was built for too.

    The numbers of pictures that it takes are the runner's business: an engine with the wanted range goes first, but
    one with other ranges will do.

    Raises:
        EngineMissing: none was built; the message says for what there are some. EngineMismatch: the one that is there
            is damaged or stale.
    """
    (architecture,) = wanted.architectures
    place = engine_path(folder, wanted).parent
    paths = sorted(place.glob(f"{wanted.model}.{wanted.graph}.*.engine"))
    for path in sorted(paths, key=lambda path: f".{wanted.profile}." not in path.name):
        record = _examine(path)
        if record.key is None:
            record.require(wanted)
        elif architecture in record.key.architectures:
            key = replace(wanted, architectures=record.key.architectures, profile=record.key.profile)
            fault = record.fault or difference(record.key, key)
            return EngineRecord(path, record.size_bytes, record.key, fault).require(wanted)
    others = _others(folder, wanted)
    raise EngineMissing(
        f"No engine of '{wanted.model}' was built for {architecture} with {wanted.flavour} {wanted.version}"
        + (f"; there are some for {others}." if others else "."),
        hint=f"Run: {build_command(wanted.model, wanted.flavour, architecture)}",
    )


def _others(folder: Path, wanted: EngineKey) -> str:
    """Return for which GPUs, and with which libraries, a graph's engines were built; empty if there is none."""
    keys = [record.key for record in list_engines(folder) if record.key is not None]
    found = {
        f"{','.join(key.architectures)} with {key.flavour} {key.version}": None
        for key in keys
        if (key.model, key.graph) == (wanted.model, wanted.graph)
    }
    return " and for ".join(found)


def list_engines(folder: Path) -> list[EngineRecord]:
    """Return every engine below a folder, sorted by path; none where the folder does not exist."""
    return [_examine(path) for path in sorted(folder.glob("*/*.engine"))]


def difference(found: EngineKey, expected: EngineKey) -> str:
    """Return a fault naming the first fact in which two keys differ; empty if there is none."""
    for field in fields(EngineKey):
        old, new = getattr(found, field.name), getattr(expected, field.name)
        if old != new:
            if field.name == "graph_sha256":
                old, new = f"{old[:_HASH_DIGITS]}…", f"{new[:_HASH_DIGITS]}…"
            return f"is stale: it was built for {field.name.replace('_', ' ')} {_text(old)}, expected {_text(new)}"
    return ""


def _examine(path: Path) -> EngineRecord:
    """Compare an engine file with its record."""
    size = path.stat().st_size
    try:
        data = json.loads(record_path(path).read_text(encoding="utf-8"))
        if data["format"] != ENGINE_FORMAT:
            fault = f"is stale: it has format {data['format']}, this program reads {ENGINE_FORMAT}"
            return EngineRecord(path, size, None, fault)
        key = EngineKey(**{**data["key"], "architectures": tuple(data["key"]["architectures"])})
        expected_size, expected_hash = int(data["size_bytes"]), str(data["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return EngineRecord(path, size, None, "has no readable record beside it, so that nobody knows what it is")
    if size != expected_size:
        return EngineRecord(path, size, key, f"is truncated: expected {expected_size} bytes, got {size}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != expected_hash:
        return EngineRecord(path, size, key, "is damaged: its sha256 is not the one in its record")
    return EngineRecord(path, size, key, "")


def describe_record(key: EngineKey, data: bytes) -> str:
    """Return the text of the record that belongs beside an engine."""
    facts = {
        "format": ENGINE_FORMAT,
        "key": asdict(key),
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    return json.dumps(facts, indent=1) + "\n"


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)
