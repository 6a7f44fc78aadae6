# SPDX-License-Identifier: Apache-2.0
"""From a source set and retargeted keypoints to the animated character.

warper.py            implicit warping, driven by landmarks
learned_warper.py    models that find keypoints of their own on the driving portrait
motion_transfer.py   … and how those keypoints become the character's
select.py            the warper that fits a model
base.py              what both share
selection.py         which pictures of the set draw a frame
plates.py            the background behind the person, completed from all pictures
registration.py      … which of them show the same one, and how they lie over each other
layers.py            the person's own colours, free of that background
fitting.py           fewer pictures, where a GPU has no memory for all
"""

from engine.warp.learned_warper import LearnedWarper
from engine.warp.prepared import PreparedSourceSet
from engine.warp.select import open_warper
from engine.warp.warper import Warper

__all__ = ["LearnedWarper", "PreparedSourceSet", "Warper", "open_warper"]
