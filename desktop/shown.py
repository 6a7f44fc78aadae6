# SPDX-License-Identifier: Apache-2.0
"""What may be seen now: the newest sealed frame, or the holding card, at once where the panic key says so. GUI thread.

The panic key cannot wait for the engine: the card is shown here immediately, and every frame that was captured before
the key was pressed is thrown away, however late it comes.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from desktop.bridge.outputs import HIDDEN, card
from engine.clock import SystemClock
from engine.config import OutputSettings
from engine.state import BLANKED, Phase, PipelineState
from engine.types import OutputFrame

__all__ = ["Shown"]


class Shown(QObject):
    """Passes frames and states on to the window.

    Args:
        output: says size and style of the holding card.

    Signals:
        frame(OutputFrame), state(PipelineState): to be shown now. hidden_changed(bool): the panic key was pressed, or
        the user shows the character again.
    """

    frame = Signal(object)
    state = Signal(object)
    hidden_changed = Signal(bool)

    def __init__(self, output: Callable[[], OutputSettings], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._output = output
        self._phase = PipelineState()
        self._hidden = False
        self._hidden_ns = 0
        self._last: OutputFrame | None = None

    @property
    def hidden(self) -> bool:
        """Whether the holding card is shown on purpose."""
        return self._hidden

    @property
    def now(self) -> PipelineState:
        """The state that is shown."""
        return self._phase

    @property
    def last_frame(self) -> OutputFrame | None:
        """The character's frame that is shown; None where it is a card of the window's own."""
        return self._last

    def may_show(self, captured_ns: int) -> bool:
        """Whether something captured then may still be shown."""
        return captured_ns >= self._hidden_ns

    def hide(self) -> bool:
        """Show the holding card now and until `show_again`; return whether that is new."""
        if self._hidden:
            return False
        self._hidden_ns, self._hidden = SystemClock().now_ns(), True
        self.show_card(HIDDEN)
        self.hidden_changed.emit(True)
        self.show_state(self._phase)
        return True

    def show_again(self) -> None:
        """Let the character be seen again."""
        self._hidden = False
        self.hidden_changed.emit(False)
        self.show_state(self._phase)

    def show_frame(self, frame: OutputFrame) -> None:
        """Show a frame of the engine, unless it was on its way when the panic key came."""
        if self.may_show(frame.captured_ns):
            self._last = frame
            self.frame.emit(frame)

    def show_card(self, reason: str) -> None:
        """Show a holding card; the engine's last frame is forgotten."""
        self._last = None
        self.frame.emit(card(self._output(), HIDDEN if self._hidden else reason))

    def show_state(self, state: PipelineState) -> None:
        """Show a state."""
        if self._hidden and state.phase is Phase.RUNNING:
            state = PipelineState(Phase.DEGRADED, (BLANKED,))  # it is on its way to the render thread
        self._phase = state
        self.state.emit(state)
