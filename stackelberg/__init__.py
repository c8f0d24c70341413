"""stackelberg: preference optimisation as a game.

Preferences that may be intransitive, three games over them (a Stackelberg game, a Nash game, a fitted
reward), one ``solve`` whose answers carry their certificate.

>>> import stackelberg as sb
>>> P = sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2])
>>> sb.solve(sb.StackelbergGame(P, tau=0)).leader
array([1., 0., 0.])
"""

from stackelberg.dynamics import Cycle, Rate, Spectrum, detect_cycle, fit_rate, spectrum
from stackelberg.errors import CertificateError, NoFiniteMaximiser
from stackelberg.evidence import Ballots, Counts, Unranked
from stackelberg.exploitability import (
    duality_gap,
    exploitability,
    follower_gap,
    leader_gap,
    leader_payoffs,
    worst_case_win_rate,
)
from stackelberg.game import NashGame, RewardGame, StackelbergGame
from stackelberg.geometry import Natural, Simplex, Softmax
from stackelberg.io import read_preferences
from stackelberg.preference import PreferenceMatrix
from stackelberg.record import Record, Trajectory
from stackelberg.refinement import chain, distinct_coverage, independent_coverage
from stackelberg.simplex import entropy, kl_divergence
from stackelberg.solution import NashSolution, RewardSolution, Solution, StackelbergSolution, Status
from stackelberg.solve import solve
from stackelberg.solvers import (
    EGPO,
    ExtraGradient,
    MagneticMirrorDescent,
    MirrorDescent,
    MirrorProx,
    NashMD,
    NashMirrorProx,
    OnlineIPO,
    Optimistic,
    OptimisticMWU,
    SelfPlay,
    StackelbergGDA,
)

__all__ = [
    "Ballots",
    "CertificateError",
    "Counts",
    "Cycle",
    "EGPO",
    "ExtraGradient",
    "MagneticMirrorDescent",
    "MirrorDescent",
    "MirrorProx",
    "NashGame",
    "NashMD",
    "NashMirrorProx",
    "NashSolution",
    "Natural",
    "NoFiniteMaximiser",
    "OnlineIPO",
    "Optimistic",
    "OptimisticMWU",
    "PreferenceMatrix",
    "Rate",
    "Record",
    "RewardGame",
    "RewardSolution",
    "SelfPlay",
    "Simplex",
    "Softmax",
    "Solution",
    "Spectrum",
    "StackelbergGDA",
    "StackelbergGame",
    "StackelbergSolution",
    "Status",
    "Trajectory",
    "Unranked",
    "chain",
    "detect_cycle",
    "distinct_coverage",
    "duality_gap",
    "entropy",
    "exploitability",
    "fit_rate",
    "follower_gap",
    "independent_coverage",
    "kl_divergence",
    "leader_gap",
    "leader_payoffs",
    "read_preferences",
    "solve",
    "spectrum",
    "worst_case_win_rate",
]
