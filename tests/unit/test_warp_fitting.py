# SPDX-License-Identifier: Apache-2.0
"""A set that the GPU has no memory for is used with fewer pictures, which the first line and an event say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.assets import asset_path
from engine.errors import OutOfDeviceMemory, SourceSetEmpty
from engine.events import PipelineEvent, Warned
from engine.runtime.cuda import CudaDevice
from engine.runtime.manifest import load_manifest
from engine.runtime.openvino_runner import OpenVinoRunner
from engine.runtime.tensorrt_runner import TensorRtRunner
from engine.sources import load_source_set
from engine.types import Query, SourceSet
from engine.warp import Warper
from engine.warp.fitting import prepare_what_fits
from tests.helpers.host_cuda import HostCuda, make_library
from tests.helpers.scripted import ScriptedWarper, driving_frame, make_renderer, make_source_set

MANIFEST = load_manifest("lite")


@pytest.fixture(scope="module")
def freya() -> SourceSet:
    return load_source_set(asset_path("source_sets", "freya.bunraku"), side_px=256)


@pytest.mark.parametrize(("room", "tried"), [(16, [8]), (5, [8, 4]), (1, [8, 4, 2, 1])])
def test_half_as_many_until_they_fit(freya: SourceSet, room: int, tried: list[int]) -> None:
    counts = []

    def prepare(source_set: SourceSet) -> int:
        counts.append(len(source_set.images))
        if counts[-1] > room:
            raise OutOfDeviceMemory("full")
        return counts[-1]

    used, warning = prepare_what_fits(prepare, freya)
    assert counts == tried
    assert used == tried[-1]
    assert (warning is None) == (used == 8)
    if warning is not None:
        assert (
            warning.message == f"The GPU's memory takes {used} of the 8 pictures of 'freya'; the others are left out."
        )


@pytest.mark.parametrize("error", [OutOfDeviceMemory("full"), SourceSetEmpty("empty")])
def test_what_cannot_be_mended_is_raised(freya: SourceSet, error: Exception) -> None:
    def prepare(_: SourceSet) -> None:
        raise error

    with pytest.raises(type(error)):
        prepare_what_fits(prepare, freya)


def test_a_small_gpu_draws_what_fits(freya: SourceSet) -> None:
    cuda = HostCuda(memory_bytes=8_000_000)
    library = make_library(cuda, MANIFEST.folder / "animate.onnx")
    warper = Warper(TensorRtRunner(MANIFEST, engine=b"engine", library=library, cuda=CudaDevice(api=cuda)))
    warper.set_sources(freya)
    assert "N=4 of 8, as the GPU's memory takes no more" in warper.description
    four = Warper(OpenVinoRunner(MANIFEST))
    four.set_sources(freya.take(4))
    keypoints = freya.images[2].keypoints
    found, wanted = (each.warp(Query(7, keypoints)).rgba.astype(int) for each in (warper, four))
    assert np.abs(found - wanted).mean() < 0.1


def test_the_renderer_says_so_once_there_is_somebody_to_hear_it() -> None:
    full = OutOfDeviceMemory("The GPU's memory takes 1 of the 2 pictures of 'maya'; the others are left out.")

    class SmallWarper(ScriptedWarper):
        def prepare(self, source_set: SourceSet) -> Any:
            return SimpleNamespace(shown=1, warning=full)

    renderer = make_renderer(warper=SmallWarper())
    renderer.set_source_set(make_source_set())  # as at the start of a run, before anybody listens
    events: list[PipelineEvent] = []
    renderer.listener = events.append
    for index in range(3):
        renderer.render(driving_frame(index))
    assert [event.error for event in events if isinstance(event, Warned)] == [full]
