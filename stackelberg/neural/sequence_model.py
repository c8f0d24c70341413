"""The model that a run over sequences trains: speakers with their parameters, in a game and on their own."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from stackelberg.game import Game
from stackelberg.geometry import Geometry, Natural
from stackelberg.neural.model import NeuralModel
from stackelberg.neural.point import Ground
from stackelberg.neural.sequence_point import SequencePlayers, SequencePoint
from stackelberg.policy import Tabular
from stackelberg.validation import Array, as_floats

if TYPE_CHECKING:
    from stackelberg.neural.sequence import SequencePolicy

SAVED = ("vocabulary", "length", "shared", "hidden", "seed", "dtype")


@dataclass(frozen=True, eq=False)
class SequenceModel(NeuralModel):
    """Speakers with their parameters; it never changes. Usable in any context of as many features.

    What a :class:`NeuralModel` is for networks over actions, this is for speakers. They do not tilt a reference:
    they are the same policies whatever the game.
    """

    spec: SequencePolicy  # type: ignore[assignment]  # another kind of network under the same options

    def at(self, features: Array) -> SequencePlayers:
        """The speakers in front of contexts, (contexts, d), read against no reference."""
        if features.shape[-1] != self.features:
            raise ValueError(f"The model is for {self.features} features a context, not {features.shape[-1]}.")
        self._check_device()
        speaker, none = self.spec.speaker(self.features), torch.zeros(1, dtype=self.dtype, device=self.spec.device)
        speakers = (speaker,) * (1 if self.spec.shared else self.players)
        return SequencePlayers(
            speakers,  # type: ignore[arg-type]  # only their number is read there
            self.players,
            self.tensor(features),
            self.actions,
            self.spec,
            (none,) * self.players,
        )

    def ground(self, game: Game) -> Ground:
        """What a point needs of the game, its references told to the speakers."""
        ground = super().ground(game)
        if not all(np.isfinite(reference).all() for reference in ground.references):
            raise ValueError("A reference has zeros, but learning needs log-ratios to it. Use policy.game_reference().")
        references = tuple(map(self.tensor, ground.references))
        return replace(ground, players=replace(ground.players, references=references))  # type: ignore[call-arg]

    def point(self, game: Game, geometry: Geometry) -> SequencePoint:
        """The model standing in a game."""
        self._check_geometry(geometry)
        residual = np.zeros(game.shape[0]) if isinstance(geometry, Natural) else None
        return SequencePoint(geometry, self, self.ground(game), residual)

    def parts(self, features: ArrayLike) -> tuple[Tabular, ...]:
        """Every player's policy over whole sequences in contexts with these features, (contexts, d)."""
        players = self.at(np.atleast_2d(as_floats(features, "features")))
        with torch.no_grad():
            logits = players.ratios(tuple(map(self.tensor, self.parameters)))
        return tuple(Tabular.from_logits(each.cpu().double().numpy()) for each in logits)

    def support(self) -> NDArray[np.int64]:
        """The actions, as indices into ``spec.language.sequences``."""
        return np.arange(self.actions)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters and sizes to one ``.npz`` file; how it was trained is left out. Nothing in it is code."""
        about = {name: getattr(self, name) for name in ("features", "actions", "players")}
        text = np.array(json.dumps(about | {"sequence": {name: getattr(self.spec, name) for name in SAVED}}))
        arrays = {f"parameters_{i}": vector for i, vector in enumerate(self.parameters)}
        with open(path, "wb") as file:
            np.savez(file, allow_pickle=False, about=text, **arrays)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> SequenceModel:
        """Read what :meth:`save` wrote."""
        from stackelberg.neural.sequence import SequencePolicy

        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"])) if "about" in file.files else {}
            parameters = tuple(file[name] for name in file.files if name.startswith("parameters_"))
        if "sequence" not in about:
            raise ValueError(f"{os.fspath(path)} holds no model over sequences. Write it with model.save.")
        stored = {"dtype": str(parameters[0].dtype)}  # which earlier versions did not write down
        spec = SequencePolicy(**stored | about.pop("sequence"))
        return SequenceModel(spec, **about, parameters=parameters, memory=tuple(map(spec.steps_by.init, parameters)))
