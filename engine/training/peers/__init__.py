# SPDX-License-Identifier: Apache-2.0
"""How fast the published architectures are beside ours: same device, same precision, same run. Offline.

Speed needs no trained weights, so the rivals have random ones. `networks` builds what is timed, `cpu` and `gpu` make it
run, `timing` lets all take turns, `report` says what came of it, `cli` is the command.
"""

__all__: list[str] = []
