# SPDX-License-Identifier: Apache-2.0
"""Every error a user can meet, as one tree; imported by all layers, imports nothing.

    PuppeteerError(Exception)            message, hint, fields, exit_code
    ├─ ConfigError         2   UnknownSetting, InvalidSetting, ConfigVersionError
    ├─ SourceError         3   SourceUnreadable, SourceSetEmpty, SourceSetMissing, SourceSetInvalid, SourceSetExists,
    │                          TooManySources, NoFaceInSource, ConsentMissing, PackInvalid
    ├─ DriverError         4   DriverUnreadable, NoFaceInDriver, CalibrationRejected
    ├─ DeviceError
    │  ├─ CameraError      5   CameraMissing, CameraBusy, CameraStalled, CameraImpaired
    │  ├─ MicrophoneMissing 5
    │  └─ SinkError        6   VirtualCameraMissing, VirtualCameraBusy, VirtualCameraLost, FormatRejected,
    │                          OutputUnwritable, DiskFull, SigningFailed
    ├─ EngineError         7   BackendUnavailable, ModelFileMissing, ModelMismatch, InferenceFailed, EngineMissing,
    │                          EngineMismatch, ShapeOutsideProfile, OutOfDeviceMemory, CudaError (DeviceLost),
    │                          EngineBuildFailed, PrecisionLost
    └─ WatermarkError      8   always stops output (fail closed)

    ShapeError(ValueError)               a mistake in our own code: tensor name, expected, actual
    Closed(Exception)                    control flow of slots and queues; never shown

A message says what happened, expected against got, and what to do; paths come last. `exit_code` is what the
command line returns for the class. Tracking loss, dropped frames and a stalled camera are states
(`engine.state`), not errors.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "BackendUnavailable",
    "CalibrationRejected",
    "CameraBusy",
    "CameraError",
    "CameraImpaired",
    "CameraMissing",
    "CameraStalled",
    "Closed",
    "ConfigError",
    "ConfigVersionError",
    "ConsentMissing",
    "CudaError",
    "DeviceError",
    "DeviceLost",
    "DiskFull",
    "DriverError",
    "DriverUnreadable",
    "EngineBuildFailed",
    "EngineError",
    "EngineMismatch",
    "EngineMissing",
    "FormatRejected",
    "InferenceFailed",
    "InvalidSetting",
    "MicrophoneMissing",
    "ModelFileMissing",
    "ModelMismatch",
    "NoFaceInDriver",
    "NoFaceInSource",
    "OutOfDeviceMemory",
    "OutputUnwritable",
    "PackInvalid",
    "PrecisionLost",
    "PuppeteerError",
    "ShapeError",
    "ShapeOutsideProfile",
    "SigningFailed",
    "SinkError",
    "SourceError",
    "SourceSetEmpty",
    "SourceSetExists",
    "SourceSetInvalid",
    "SourceSetMissing",
    "SourceUnreadable",
    "TooManySources",
    "UnknownSetting",
    "VirtualCameraBusy",
    "VirtualCameraLost",
    "VirtualCameraMissing",
    "WatermarkError",
]


class PuppeteerError(Exception):
    """Base of everything shown to a user: one sentence, and what to do about it.

    Args:
        message: what happened, expected against got; paths last.
        hint: what to do; empty where the message already says it.
        fields: the facts behind the sentence, for logs and `--json` output.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", **fields: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.fields: Mapping[str, object] = fields

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class ConfigError(PuppeteerError):
    """A setting or an option is wrong."""

    exit_code = 2


class UnknownSetting(ConfigError):
    """A setting has no such name; the hint offers the nearest one."""


class InvalidSetting(ConfigError):
    """A setting's value is outside what it allows."""


class ConfigVersionError(ConfigError):
    """A settings file comes from a newer version."""


class SourceError(PuppeteerError):
    """Something is wrong with a source picture, a source set or a training pack."""

    exit_code = 3


class SourceUnreadable(SourceError):
    """A picture is missing, empty, corrupt, too large or of an unknown type."""


class SourceSetMissing(SourceError):
    """No source set has this name or path."""


class SourceSetEmpty(SourceError):
    """A source set holds no usable picture."""


class SourceSetInvalid(SourceError):
    """A set.toml breaks the format."""


class SourceSetExists(SourceError):
    """A set of this name is there already and is not replaced unasked."""


class ConsentMissing(SourceError):
    """A source set without a complete, valid consent note was to go to a virtual camera."""


class TooManySources(SourceError):
    """A source set holds more pictures than the engine takes."""


class NoFaceInSource(SourceError):
    """The tracker finds no face in a source picture."""


class PackInvalid(SourceError):
    """A training pack is missing, of another format version, damaged, or a split of it holds nothing."""


class DriverError(PuppeteerError):
    """Something is wrong with the driving video or the person in it."""

    exit_code = 4


class DriverUnreadable(DriverError):
    """A driving video is missing, empty, corrupt or holds no frame."""


class NoFaceInDriver(DriverError):
    """No face was found in the whole driving video."""


class CalibrationRejected(DriverError):
    """The neutral pose was not neutral: blink, open mouth, turned head or too few frames."""


class DeviceError(PuppeteerError):
    """A camera or an output refuses to work."""


class CameraError(DeviceError):
    """A camera cannot be used."""

    exit_code = 5


class CameraMissing(CameraError):
    """No camera has this id, or none is connected."""


class CameraBusy(CameraError):
    """A camera exists but cannot be opened."""


class CameraStalled(CameraError):
    """A camera stopped delivering frames."""


class CameraImpaired(CameraError):
    """A camera works, but its pictures are of no use: black, frozen or too few."""


class MicrophoneMissing(DeviceError):
    """No microphone has this id, none is connected, or it cannot be opened."""

    exit_code = 5


class SinkError(DeviceError):
    """An output cannot be opened or written."""

    exit_code = 6


class VirtualCameraMissing(SinkError):
    """No virtual-camera device exists; the message carries each back-end's own words."""


class VirtualCameraBusy(SinkError):
    """Another Bunraku feeds this virtual camera."""


class VirtualCameraLost(SinkError):
    """The virtual-camera host process ended or stopped answering."""


class FormatRejected(SinkError):
    """An output refuses the frame size or frame rate."""


class OutputUnwritable(SinkError):
    """The output path cannot be created."""


class DiskFull(SinkError):
    """The disk filled up while recording; what was written so far plays."""


class SigningFailed(SinkError):
    """A recording or picture is complete and marked, but could not be signed."""


class EngineError(PuppeteerError):
    """The warping engine cannot run."""

    exit_code = 7


class BackendUnavailable(EngineError):
    """The requested back-end cannot run on this machine."""


class ModelFileMissing(EngineError):
    """A model file is not where it should be."""


class ModelMismatch(EngineError):
    """A model file's hash or shapes differ from its manifest."""


class InferenceFailed(EngineError):
    """The back-end failed while computing a frame."""


class EngineMissing(EngineError):
    """No engine was built yet for this model on this kind of GPU."""


class EngineMismatch(EngineError):
    """An engine file is damaged, or was built from another model, for another GPU or by another version."""


class ShapeOutsideProfile(EngineError):
    """A source set has more pictures than the engine was built for."""


class OutOfDeviceMemory(EngineError):
    """The GPU has no memory left."""


class CudaError(EngineError):
    """The GPU or its driver failed."""


class DeviceLost(CudaError):
    """The GPU, or our context on it, is gone; an engine opened anew may find it again."""


class EngineBuildFailed(EngineError):
    """TensorRT refuses a graph or cannot build its engine; the message carries its own words."""


class PrecisionLost(EngineError):
    """A graph in reduced precision differs too much from the exact one."""


class WatermarkError(PuppeteerError):
    """A frame could not be marked; it does not leave the app."""

    exit_code = 8


class ShapeError(ValueError):
    """An array has the wrong shape or type: a mistake in our code, not the user's.

    Args:
        name: which array. expected, actual: shapes or types, as text.
    """

    def __init__(self, name: str, expected: object, actual: object) -> None:
        super().__init__(f"{name}: expected {expected}, got {actual}")
        self.name, self.expected, self.actual = name, expected, actual


class Closed(Exception):
    """A slot or queue was closed; readers and writers end their loops."""
