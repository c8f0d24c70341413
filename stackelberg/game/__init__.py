"""The three games over one preference: who moves, what each sees, what each wants. No solver is known here.

Numbers, arrays and None are taken as given and kept as checked arrays with a leading context axis (one
context for a single matrix); what solutions and diagnostics return has that axis only where P has contexts.
"""

from stackelberg.game.base import Answer, Family, Game
from stackelberg.game.nash import NashGame
from stackelberg.game.reward import RewardGame
from stackelberg.game.stackelberg import StackelbergGame

__all__ = ["Answer", "Family", "Game", "NashGame", "RewardGame", "StackelbergGame"]
