# SPDX-License-Identifier: Apache-2.0
"""Threads, slots and states around the renderer; no mathematics.

    thread "capture"  ─Frame→ [latest slot] → thread "render": commands, then `Renderer.render`
                      ─OutputFrame→ [latest slot] live sinks · [queue of 8] recorders, one thread each

core.py         `Pipeline`: start, stop, settings, sinks; the threads and the state
render_loop.py  the render thread
recovery.py     what is done about a stage that fails while running
outlets.py      the sinks, joining and leaving
clearance.py    the consent gate between sets and sinks
settings.py     what is in force while running
sets.py         another character while running

Whatever happens on the way in, frames keep going out: a silent camera or a failing stage means held pose, fade and
holding card while it is mended; what cannot be mended means the holding card and the state `failed`. Only
`OutputFrame`s leave the render thread, so no driving frame can reach a sink.
"""

from engine.pipeline.core import Command, Pipeline

__all__ = ["Command", "Pipeline"]
