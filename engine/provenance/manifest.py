# SPDX-License-Identifier: Apache-2.0
"""What a manifest says: made by which Bunraku, by which model, from a set of which consent class, marked how.

It names no person, no file and no set. The soft binding ties it to the invisible mark: its value is the mark's payload
(product, version, run), so that a file whose manifest was stripped can be led back to a sidecar of the same run.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from typing import Any

from engine.types import Origin, Seal

__all__ = ["ORIGIN", "SOFT_BINDING", "SOFT_BINDING_ALGORITHM", "manifest_of"]

ORIGIN = "org.bunraku.origin"
SOFT_BINDING = "c2pa.soft-binding"
# Not in C2PA's list of registered algorithms: only Bunraku's own reader finds this mark.
SOFT_BINDING_ALGORITHM = "org.bunraku.imprint.1"
_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"


def manifest_of(seals: Sequence[Seal], *, title: str) -> dict[str, Any]:
    """Return the manifest of a file made of frames with these seals.

    Args:
        title: the file's name in general, such as "recording.mp4".
    """
    agent = {"name": "Bunraku", "version": _version()}
    payloads = list(dict.fromkeys(seal.payload for seal in seals))
    origins = list(dict.fromkeys(seal.origin for seal in seals if seal.origin != Origin()))
    return {
        "claim_generator_info": [agent],
        "title": title,
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {
                    "actions": [
                        {
                            "action": "c2pa.created",
                            "digitalSourceType": _SOURCE_TYPE,
                            "softwareAgent": agent,
                            "description": "A person's motion, put on pictures of a character by a trained model.",
                        },
                        {
                            "action": "c2pa.watermarked.bound",
                            "softwareAgent": agent,
                            "description": 'Visible mark "AI MODIFIED" and invisible mark in every frame.',
                        },
                    ]
                },
            },
            {
                "label": SOFT_BINDING,
                "data": {
                    "alg": SOFT_BINDING_ALGORITHM,
                    "blocks": [
                        {"scope": {}, "value": base64.b64encode(payload).decode("ascii")} for payload in payloads
                    ],
                },
            },
            {
                "label": ORIGIN,
                "data": {
                    "characters": [
                        {
                            "name": o.character,
                            "model": o.model,
                            "model_sha256": o.model_sha256,
                            "consent": o.consent,
                        }
                        for o in origins
                    ]
                },
            },
        ],
    }


@functools.cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("bunraku")
    except PackageNotFoundError:
        return "unknown"
