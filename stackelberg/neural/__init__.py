"""Policies that are neural networks. This package needs torch, and is imported only when it is asked for."""

from stackelberg.neural.sequence import SequencePolicy

__all__ = ["SequencePolicy"]
