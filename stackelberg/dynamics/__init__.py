"""What a learning run does: spectrum near a solution, fitted rate, cycles, and how steep the field is."""

from stackelberg.dynamics.cycle import Cycle, Motion, detect_cycle
from stackelberg.dynamics.law import Interval, Law, Rate
from stackelberg.dynamics.local import gradient_norm, lipschitz
from stackelberg.dynamics.rate import fit_rate
from stackelberg.dynamics.spectrum import Spectrum, spectrum

__all__ = [
    "Cycle",
    "Interval",
    "Law",
    "Motion",
    "Rate",
    "Spectrum",
    "detect_cycle",
    "fit_rate",
    "gradient_norm",
    "lipschitz",
    "spectrum",
]
