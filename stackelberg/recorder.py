"""Watches a run: keeps the running average, measures at the records, and tells when the tolerance is reached."""

from __future__ import annotations

from typing import Any

import numpy as np

from stackelberg.diagnostics import Diagnostics
from stackelberg.dynamics.coordinates import coordinates, norms, velocity
from stackelberg.field import Field
from stackelberg.game import Game
from stackelberg.kernel import Kernel, laid_out
from stackelberg.point import Joint, Point
from stackelberg.policy import Tabular
from stackelberg.record import Record, Trajectory
from stackelberg.validation import Array


class Recorder:
    """One run's records. Built by :func:`stackelberg.learn.learn`, which shows it every iterate."""

    def __init__(
        self,
        record: Record | None,
        diagnostics: Diagnostics,
        field: Field,
        tolerance: float | None,
        weights: Array,
    ) -> None:
        self.record, self.diagnostics, self.field, self.tolerance = record, diagnostics, field, tolerance
        self.weights, self.kernel = weights, Kernel()
        self.target = diagnostics.target() if record is not None and record.distance else None
        self.sums: list[Array] = []
        self.seen = 0
        self.steps: list[int] = []
        self.rows: dict[str, list[Array]] = {}
        self.best: tuple[int, float, tuple[Tabular, ...]] | None = None
        self.policies: list[tuple[Array, ...]] = []
        self.before: tuple[Joint, Joint] | None = None

    @property
    def latest_gap(self) -> float | None:
        """The largest gap of any context at the newest record; None where no gap is kept."""
        return float(self.rows["gap"][-1].max()) if "gap" in self.rows else None

    def state(self) -> dict[str, Any]:
        """Everything that a checkpoint must keep of the records."""
        rows = {name: np.array(row) for name, row in self.rows.items()}
        plain = {"sums": self.sums, "seen": self.seen, "best": self.best, "policies": self.policies}
        return plain | {"steps": np.array(self.steps, np.int64), "rows": rows, "before": self.before}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the records where :meth:`state` left them."""
        self.sums, self.seen = [laid_out(total) for total in state["sums"]], state["seen"]
        self.steps, self.best = state["steps"].tolist(), state["best"]
        self.policies, self.before = state["policies"], state["before"]
        self.rows = {name: list(row) for name, row in state["rows"].items()}

    def see(self, t: int, point: Point, *, last: bool) -> bool:
        """Take the iterate after t steps into account, once; whether the tolerance is reached there."""
        if self.record is None:
            return False
        if self.record.average and self.seen <= t:  # a run that goes on shows its newest iterate again
            self._accumulate(point)
        if not last and t % self.record.every:
            return False
        self._measure(t, point)
        return self.tolerance is not None and bool((self.rows["gap"][-1] <= self.tolerance).all())

    def _accumulate(self, point: Point) -> None:
        self.seen += 1
        if not self.sums:
            self.sums = [laid_out(table.probabilities) for table in point.tables]
            return
        for total, table in zip(self.sums, point.tables, strict=True):
            table.add_to(total)

    def mean(self) -> tuple[Tabular, ...]:
        """The average of the iterates seen so far."""
        return tuple(Tabular.mean(total, self.seen, self.kernel) for total in self.sums)

    def _measure(self, t: int, point: Point) -> None:
        assert self.record is not None
        if self.steps and self.steps[-1] == t:
            return
        tables, forces, look = point.tables, self.field.natural(point), self.diagnostics
        row = {"value": look.value(tables, forces), "kl": look.kl(tables)}
        if self.record.gap:
            row["gap"] = look.gap(tables, forces)
        if self.record.gap and self.record.average:
            mean = self.mean()
            row["average_gap"] = look.gap(mean, self.field.pull.at(mean))
        if point.residual is not None:
            row["residual"] = point.residual
        if self.target is not None:
            row["distance"] = look.distance(tables, self.target)
        if self.record.gap and self.record.best:
            self._compare(t, row["gap"], tables)
        if self.record.forces:
            row |= self._forces(point, forces.total)
        if self.record.policies:
            self.policies.append(tuple(table.probabilities for table in tables))
        self.steps.append(t)
        for name, numbers in row.items():
            self.rows.setdefault(name, []).append(numbers)

    def _compare(self, t: int, gap: Array, tables: tuple[Tabular, ...]) -> None:
        """Keep the better iterate; tables never change, so that keeping one is no copy."""
        here = float(self.weights @ gap)
        if self.best is None or here < self.best[1]:
            self.best = t, here, tables

    def _forces(self, point: Point, natural: Joint) -> dict[str, Array]:
        """The norm of the field here, and the steepest slope of the field between two records so far."""
        here = coordinates(point.geometry, point.tables)
        field = velocity(point.geometry, point.tables, natural, self.field.pull)
        slope = np.zeros(len(here[0]))
        if self.before is not None:
            gone = norms(here - self.before[0])
            np.divide(norms(field - self.before[1]), gone, out=slope, where=gone > 0)
            slope = np.maximum(slope, self.rows["lipschitz"][-1])
        self.before = here, field
        return {"gradient_norm": norms(field), "lipschitz": slope}

    def trajectory(self, game: Game) -> Trajectory | None:
        """All records as arrays."""
        if self.record is None:
            return None
        single = game.preference.contexts is None
        rows: dict[str, Any] = {name: np.array(row) for name, row in self.rows.items()}  # (records, contexts)
        policies = [np.array(part) for part in zip(*self.policies, strict=True)]
        return Trajectory(
            steps=np.array(self.steps),
            policies=tuple(part[:, 0] if single else part for part in policies) or None,
            **{name: row[:, 0] if single else row for name, row in rows.items()},
        )
