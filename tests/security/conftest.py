"""Chromium for the cases that need a browser."""

from __future__ import annotations

from tests.browser.conftest import browser

__all__ = ["browser"]
