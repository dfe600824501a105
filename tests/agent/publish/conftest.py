"""The broker of these tests is a real mosquitto."""

from __future__ import annotations

from support.mosquitto import mosquitto

__all__ = ["mosquitto"]
