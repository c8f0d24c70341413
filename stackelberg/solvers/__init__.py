"""The learning rules, one a file: linear rules on payoff g and regulariser r, which they may read elsewhere too."""

from stackelberg.solvers.base import Solver, TwoPlayerSolver
from stackelberg.solvers.egpo import EGPO
from stackelberg.solvers.extra_gradient import ExtraGradient
from stackelberg.solvers.gda import GDA, StackelbergGDA
from stackelberg.solvers.magnetic import MagneticMirrorDescent
from stackelberg.solvers.mirror_descent import MirrorDescent
from stackelberg.solvers.mirror_prox import MirrorProx, NashMirrorProx
from stackelberg.solvers.moving_magnet import COMAL, MPO
from stackelberg.solvers.nash_md import NashMD
from stackelberg.solvers.nash_md_pg import NashMDPG
from stackelberg.solvers.online_ipo import OnlineIPO
from stackelberg.solvers.optimistic import Optimistic, OptimisticMWU
from stackelberg.solvers.rloo import RLOO
from stackelberg.solvers.self_play import SelfPlay

__all__ = [
    "COMAL",
    "EGPO",
    "ExtraGradient",
    "GDA",
    "MPO",
    "MagneticMirrorDescent",
    "MirrorDescent",
    "MirrorProx",
    "NashMD",
    "NashMDPG",
    "NashMirrorProx",
    "OnlineIPO",
    "Optimistic",
    "OptimisticMWU",
    "RLOO",
    "SelfPlay",
    "Solver",
    "StackelbergGDA",
    "TwoPlayerSolver",
]
