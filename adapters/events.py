"""Events for nobody: what an adapter is given where nothing is measured."""

from __future__ import annotations

from adapters.base import Events


class _Silent:
    def happened(self, event: str, system: str) -> None:
        pass

    def level(self, gauge: str, system: str, value: float) -> None:
        pass

    def took(self, what: str, system: str, seconds: float) -> None:
        pass


SILENT: Events = _Silent()
