"""What all windows are that mint, redeem or convert: open, or halted."""

from __future__ import annotations


class Window:
    """Serves requests while it is `open`."""

    open = True

    def halt(self) -> None:
        """Refuse everything from now on, as when a chain stops; what was asked before is still delivered."""
        self.open = False

    def resume(self) -> None:
        """Serve again."""
        self.open = True
