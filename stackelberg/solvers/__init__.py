"""The learning rules, one a file: linear rules on payoff g and regulariser r, which they may read elsewhere too."""

from stackelberg.solvers.base import Schedule, Solver, TwoPlayerSolver
from stackelberg.solvers.egpo import EGPO
from stackelberg.solvers.extra_gradient import ExtraGradient
from stackelberg.solvers.magnetic import MagneticMirrorDescent
from stackelberg.solvers.mirror_descent import MirrorDescent
from stackelberg.solvers.mirror_prox import MirrorProx, NashMirrorProx
from stackelberg.solvers.nash_md import NashMD
from stackelberg.solvers.online_ipo import OnlineIPO
from stackelberg.solvers.optimistic import Optimistic, OptimisticMWU
from stackelberg.solvers.self_play import SelfPlay
from stackelberg.solvers.stackelberg_gda import StackelbergGDA

__all__ = [
    "EGPO",
    "ExtraGradient",
    "MagneticMirrorDescent",
    "MirrorDescent",
    "MirrorProx",
    "NashMD",
    "NashMirrorProx",
    "OnlineIPO",
    "Optimistic",
    "OptimisticMWU",
    "Schedule",
    "SelfPlay",
    "Solver",
    "StackelbergGDA",
    "TwoPlayerSolver",
]
