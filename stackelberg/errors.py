"""What can go wrong beyond a plain ``ValueError``: each error says what was found and what to do."""

from __future__ import annotations


class CertificateError(RuntimeError):
    """An answer was computed, but its certificate does not hold, so it is not returned.

    Every exact answer is checked afterwards from the answer itself (duality gap, exploitability or
    residual). Where that number is above its tolerance this error is raised with both numbers.
    """


class NoFiniteMaximiser(ValueError):
    """The Bradley–Terry likelihood has no unique finite maximiser.

    Either the sampled pairs do not connect all actions (differences of rewards between the parts are
    free), or some group of actions wins every sampled comparison against the rest (rewards run off to
    infinity). The message names the groups.
    """
