"""Supervised, event-sourced actors for asyncio that keep unreliable work reliable."""

__all__: list[str] = []
