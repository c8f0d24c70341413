"""Packages are imported whole before any of their files is collected for doctests.

A function may have the name of its module (``stackelberg.solve``): collected first, the module would take its place.
"""

import analysis
import llm
import stackelberg

__all__ = ["analysis", "llm", "stackelberg"]
