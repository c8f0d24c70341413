"""stackelberg: preference optimisation as a game.

Preferences that may be intransitive, three games over them (a Stackelberg game, a Nash game, a fitted
reward), one ``solve`` whose answers carry their certificate.

>>> import stackelberg as sb
>>> P = sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2])
>>> sb.solve(sb.StackelbergGame(P, tau=0)).leader
array([1., 0., 0.])
"""

from typing import Any

from stackelberg.checkpoint import Checkpoint
from stackelberg.dynamics import Cycle, Rate, Spectrum, detect_cycle, fit_rate, spectrum
from stackelberg.errors import CertificateError, NoFiniteMaximiser
from stackelberg.estimate import Estimate, Kind
from stackelberg.evaluate import evaluate
from stackelberg.evidence import Ballots, Counts, Unranked
from stackelberg.expectation import Enumerate, OnPolicy, Sample, UniformActions
from stackelberg.exploitability import (
    duality_gap,
    exploitability,
    follower_gap,
    leader_gap,
    leader_payoffs,
    worst_case_win_rate,
)
from stackelberg.families import AnnotatorMixture
from stackelberg.game import NashGame, RewardGame, StackelbergGame
from stackelberg.geometry import Natural, Simplex, Softmax
from stackelberg.gradient import Constant, LeaveOneOut, NoBaseline, RaoBlackwell, RewardToGo, SequenceLevel
from stackelberg.io import read_preferences
from stackelberg.learn import resume
from stackelberg.payoff import payoff
from stackelberg.preference import PreferenceMatrix
from stackelberg.published import PublishedStackelbergGame
from stackelberg.record import Record, Trajectory
from stackelberg.refinement import chain, distinct_coverage, independent_coverage
from stackelberg.saving import load
from stackelberg.schedules import Cosine, Geometric, InverseTime, Linear, Piecewise, PowerDecay, Schedule, Warmup
from stackelberg.simplex import entropy, kl_divergence
from stackelberg.solution import NashSolution, RewardSolution, Solution, StackelbergSolution, Status
from stackelberg.solve import solve
from stackelberg.solvers import (
    COMAL,
    EGPO,
    GDA,
    MPO,
    RLOO,
    ExtraGradient,
    MagneticMirrorDescent,
    MirrorDescent,
    MirrorProx,
    NashMD,
    NashMDPG,
    NashMirrorProx,
    OnlineIPO,
    Optimistic,
    OptimisticMWU,
    SelfPlay,
    StackelbergGDA,
)
from stackelberg.tables import Tables

__all__ = [
    "AnnotatorMixture",
    "Ballots",
    "COMAL",
    "CertificateError",
    "Checkpoint",
    "Constant",
    "Cosine",
    "Counts",
    "Cycle",
    "EGPO",
    "Enumerate",
    "Estimate",
    "ExtraGradient",
    "GDA",
    "Geometric",
    "InverseTime",
    "Kind",
    "LeaveOneOut",
    "Linear",
    "MPO",
    "MagneticMirrorDescent",
    "MirrorDescent",
    "MirrorProx",
    "NashGame",
    "NashMD",
    "NashMDPG",
    "NashMirrorProx",
    "NashSolution",
    "Natural",
    "NoBaseline",
    "NoFiniteMaximiser",
    "OnPolicy",
    "OnlineIPO",
    "Optimistic",
    "OptimisticMWU",
    "Piecewise",
    "PowerDecay",
    "PreferenceMatrix",
    "PublishedStackelbergGame",
    "RLOO",
    "RaoBlackwell",
    "Rate",
    "Record",
    "RewardGame",
    "RewardSolution",
    "RewardToGo",
    "Sample",
    "Schedule",
    "SelfPlay",
    "SequenceLevel",
    "Simplex",
    "Softmax",
    "Solution",
    "Spectrum",
    "StackelbergGDA",
    "StackelbergGame",
    "StackelbergSolution",
    "Status",
    "Tables",
    "Trajectory",
    "UniformActions",
    "Unranked",
    "Warmup",
    "chain",
    "detect_cycle",
    "distinct_coverage",
    "duality_gap",
    "entropy",
    "evaluate",
    "exploitability",
    "fit_rate",
    "follower_gap",
    "independent_coverage",
    "kl_divergence",
    "leader_gap",
    "leader_payoffs",
    "load",
    "payoff",
    "read_preferences",
    "resume",
    "solve",
    "spectrum",
    "worst_case_win_rate",
]

NEURAL = ("Activation", "Adam", "Neural", "NeuralModel", "Regression", "SGD", "SequenceModel", "SequencePolicy")
"""Names that need torch: imported when first asked for."""


def __getattr__(name: str) -> Any:
    if name not in NEURAL:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stackelberg import neural

    return getattr(neural, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *NEURAL])
