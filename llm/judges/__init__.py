"""Judges: p(y ≻ y' | x) from functions, reward models, pairwise models, language models and checks.

A judge is any callable ``(prompts, first, second) -> probabilities``, an array of shape (n,) in [0, 1], so every
Python function with that signature is one. NaN marks a pair that was skipped, never ½ (:func:`kept`); a trainer calls
:func:`ask`, which checks the answer. Judges that read scores: :class:`BradleyTerry`, :class:`AttributeVote`; several
judges: :class:`Mean`, :class:`Vote`; around any judge: :class:`Cached`, :class:`BothOrders`, :class:`RateLimited`,
:class:`LengthControlled`.
"""

from llm.judges.cache import Cached
from llm.judges.checks import Check, Checks
from llm.judges.language_model import LanguageModelJudge
from llm.judges.models import PairwiseModel, RewardModel, load_judge
from llm.judges.protocol import Judge, JudgeError, Named, OnFailure, Prompt, Scores, ask, kept
from llm.judges.questions import Question
from llm.judges.scores import HELPSTEER2, AttributeVote, BradleyTerry, Mean, Vote, Weighted, helpsteer2
from llm.judges.transport import Budget, BudgetSpent, PairFailure, Retry, Tally
from llm.judges.wrappers import BothOrders, LengthControlled, LengthOnly, Pace, RateLimited

__all__ = [
    "Judge",
    "Prompt",
    "Scores",
    "ask",
    "kept",
    "Named",
    "OnFailure",
    "JudgeError",
    "PairFailure",
    "BudgetSpent",
    "RewardModel",
    "BradleyTerry",
    "Weighted",
    "AttributeVote",
    "HELPSTEER2",
    "helpsteer2",
    "Mean",
    "Vote",
    "PairwiseModel",
    "load_judge",
    "LanguageModelJudge",
    "Question",
    "Retry",
    "Budget",
    "Tally",
    "Checks",
    "Check",
    "Cached",
    "BothOrders",
    "RateLimited",
    "Pace",
    "LengthOnly",
    "LengthControlled",
]
