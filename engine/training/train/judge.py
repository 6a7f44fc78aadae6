# SPDX-License-Identifier: Apache-2.0
"""Dev evaluation: the same samples every time through a task, per number of source pictures. Any one thread.

These figures steer a training; what is published comes from `bunraku eval`, over whole clips and outside this code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.training.batch import Batch
from engine.training.data import BatchSource
from engine.training.task import Task
from engine.training.train.parallel import seed_step
from engine.training.train.preview import PreviewRow, to_rgb

__all__ = ["Judgement", "judge", "psnr_db"]

_PEAK = 2.0  # colours lie in [-1, 1]
_LEAST_ERROR = 1e-10  # of the mean square: 106 dB, so that equal pictures have a figure


@dataclass(frozen=True, slots=True)
class Judgement:
    """figures: number of sources → name → value: every loss, `loss` (their sum), `psnr_db` over the picture and
    `psnr_face_db` over the box around the landmarks, means over samples. rows: of the first samples of each."""

    figures: Mapping[int, Mapping[str, float]]
    rows: tuple[PreviewRow, ...]

    @property
    def loss(self) -> float:
        """What is to be low: the sum of the losses, mean over the numbers of sources."""
        return sum(f["loss"] for f in self.figures.values()) / max(1, len(self.figures))


@torch.no_grad()
def judge(
    task: Task, sources: Mapping[int, BatchSource], *, samples: int = 32, batch: int = 8, shown: int = 4
) -> Judgement:
    """Judge a task in float32.

    Args:
        task: as it is to be judged; for a training that is its average. Its mode is put back afterwards.
        sources: number of source pictures → where their batches come from; steps 0, 1, … are drawn.
        samples: how many of each, rounded up to whole batches, which have at most `batch`.
        shown: how many of each go into `rows`.
    """
    was_training, batch = task.training, min(batch, samples)
    task.eval()
    try:
        figures, rows = {}, []
        for count, source in sources.items():
            found: list[dict[str, float]] = []
            for step in range(-(-samples // batch)):
                seed_step(0, step)
                drawn = source.draw(step, batch=batch)
                outcome = task(drawn)
                losses = {name: float(value) for name, value in outcome.losses.items()}
                output = outcome.output.float().clamp(-1, 1)
                found.append({**losses, "loss": sum(losses.values()), **_closeness(output, drawn)})
                rows += [_row(drawn, output, i) for i in range(min(len(output), shown - step * batch))]
            figures[count] = {name: sum(f[name] for f in found) / len(found) for name in found[0]}
    finally:
        task.train(was_training)
    return Judgement(figures, tuple(rows))


def psnr_db(output: Tensor, truth: Tensor, where: Tensor | None = None) -> Tensor:
    """Return the peak signal-to-noise ratio of every sample.

    Shapes:
        output, truth: (B, 3, R, R) in [-1, 1]. where: (B, 1, R, R), 0 or 1, not empty. returns: (B,), dB.
    """
    error = (output - truth).square().mean(1, keepdim=True)
    where = torch.ones_like(error) if where is None else where
    mean = (error * where).sum((1, 2, 3)) / where.sum((1, 2, 3))
    return 10 * torch.log10(_PEAK**2 / mean.clamp_min(_LEAST_ERROR))


def _closeness(output: Tensor, batch: Batch) -> dict[str, float]:
    whole = psnr_db(output, batch.truth)
    face = psnr_db(output, batch.truth, face_box(batch.keypoints, side_px=output.shape[-1]))
    return {"psnr_db": float(whole.mean()), "psnr_face_db": float(face.mean())}


def face_box(keypoints: Tensor, *, side_px: int) -> Tensor:
    """Return 1 inside the box around the landmarks: (B, P, 3) → (B, 1, side_px, side_px)."""
    centres = (torch.arange(side_px, device=keypoints.device) + 0.5) / side_px * 2 - 1
    half = 1.0 / side_px  # at least the pixel a box lies in
    low = keypoints[..., :2].amin(1).clamp(-1, 1 - half) - half
    high = keypoints[..., :2].amax(1).clamp(-1 + half, 1) + half
    inside = (centres >= low[..., None]) & (centres <= high[..., None])  # (B, 2, R)
    return (inside[:, 1, :, None] & inside[:, 0, None, :])[:, None].to(keypoints.dtype)


def _row(batch: Batch, output: Tensor, index: int) -> PreviewRow:
    return PreviewRow(
        [to_rgb(picture) for picture in batch.rgb[index]], to_rgb(batch.truth[index]), to_rgb(output[index])
    )
