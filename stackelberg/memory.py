"""What a solver remembers from step to step, as plain arrays."""

from __future__ import annotations

from typing import Any

from stackelberg.combination import Combination
from stackelberg.point import Joint


def settled(memory: Any) -> Any:
    """The memory with every sum that waits to be looked at computed, so that a checkpoint keeps it to the bit.

    >>> import numpy as np
    >>> settled((3, Joint((Combination((2.0, np.ones(2))),))))
    (3, Joint(parts=(array([2., 2.]),)))
    """
    match memory:
        case Combination():
            return memory.array
        case Joint():
            return Joint(tuple(settled(part) for part in memory.parts))
        case tuple():
            return tuple(settled(part) for part in memory)
    return memory
