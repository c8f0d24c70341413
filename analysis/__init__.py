"""analysis: looks at preferences and at what was made of them; it stands on ``stackelberg``.

Example:
    >>> import stackelberg as sb
    >>> from analysis import structure
    >>> structure(sb.PreferenceMatrix.cycle(5), draws=0).three_cycles
    5
"""

from analysis.comparison import Comparison, compare
from analysis.cycles import TopCycles, top_cycles
from analysis.fit import BradleyTerryFit, Unavailable, bradley_terry
from analysis.hodge import Flow, Hodge, hodge
from analysis.noise import Excess, NoiseTest, noise_test
from analysis.sensitivity import Sensitivity, sensitivity
from analysis.structure import Structure, structure
from analysis.timescales import Outcome, Timescales, timescales
from analysis.transitivity import StochasticTransitivity, Transitivity, stochastic_transitivity
from analysis.uncertainty import Bootstrap, Interval, bootstrap

__all__ = [
    "structure",
    "Structure",
    "compare",
    "Comparison",
    "sensitivity",
    "Sensitivity",
    "top_cycles",
    "TopCycles",
    "stochastic_transitivity",
    "StochasticTransitivity",
    "Transitivity",
    "hodge",
    "Hodge",
    "Flow",
    "bradley_terry",
    "BradleyTerryFit",
    "Unavailable",
    "timescales",
    "Timescales",
    "Outcome",
    "bootstrap",
    "Bootstrap",
    "Interval",
    "noise_test",
    "NoiseTest",
    "Excess",
]
