"""stackelberg: preference optimisation as a game."""

from stackelberg.errors import CertificateError, NoFiniteMaximiser
from stackelberg.evidence import Ballots, Counts, Unranked
from stackelberg.preference import PreferenceMatrix

__all__ = ["Ballots", "CertificateError", "Counts", "NoFiniteMaximiser", "PreferenceMatrix", "Unranked"]
