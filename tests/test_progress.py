"""Progress: the right numbers, sparse plain lines where nobody has a terminal, a bar where somebody has."""

import io
import re
import sys

import numpy as np
import pytest

import stackelberg as sb
from stackelberg.progress import FIRST, Meter

GAME = sb.NashGame(sb.PreferenceMatrix.random(4), 0.1)


class Clock:
    """A clock on which every step takes a second."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("stackelberg.progress.time.monotonic", lambda: self.now)
        step = sb.EGPO.direction

        def slow(solver, *arguments):
            self.now += 1.0
            return step(solver, *arguments)

        monkeypatch.setattr(sb.EGPO, "direction", slow)


def test_plain_lines_are_sparse_true_and_free_of_control_characters(monkeypatch, capsys):
    Clock(monkeypatch)
    solution = sb.solve(GAME, sb.EGPO(), steps=400, progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert not re.search(r"[^\x20-\x7e\n]", captured.err)
    lines = captured.err.splitlines()
    steps = [int(line.split()[1]) for line in lines]
    assert steps[0] == FIRST
    assert steps[-1] == 400
    assert len(lines) < 12
    assert (np.diff(np.diff(steps[:-1])) > 0).all()  # rarer and rarer
    for line, step in zip(lines[:-1], steps[:-1], strict=True):
        gap = solution.trajectory.gap[(step - 1) // 10]  # a step's record is made in the step
        left = 400 - step
        minutes = f"{left // 60} min {left % 60} s" if left >= 60 else f"{left} s"
        assert line == f"learning: {step} of 400 steps, 1 steps/s, gap {gap:.1e}, {minutes} left"
    assert lines[-1] == f"learning: 400 of 400 steps, 1 steps/s, gap {solution.trajectory.gap[-1]:.1e}"


def test_steps_of_an_earlier_process_do_not_count_for_the_speed(monkeypatch, capsys, tmp_path):
    sb.solve(GAME, sb.EGPO(), steps=5000, checkpoint=tmp_path)
    Clock(monkeypatch)
    sb.resume(tmp_path, steps=5020, progress=True)
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith("learning: 5,010 of 5,020 steps, 1 steps/s, gap ")
    assert first.endswith(", 10 s left")


def test_a_terminal_gets_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    sb.solve(GAME, sb.EGPO(), steps=50, progress=True)
    text = sys.stderr.getvalue()
    assert "50/50" in text
    assert "steps/s" in text
    assert "gap" in text


@pytest.mark.parametrize("record", [None, sb.Record(gap=False)])
def test_without_a_recorded_gap_none_is_shown(capsys, record):
    sb.solve(GAME, sb.EGPO(), steps=20, progress=True, record=record)
    assert re.fullmatch(r"learning: 20 of 20 steps, [\d,.]+ steps/s\n", capsys.readouterr().err)


def test_looking_at_the_clock_is_all_that_most_steps_do(monkeypatch):
    shown = []
    monkeypatch.setattr(Meter, "show", lambda self: shown.append(self.run.step))
    sb.solve(GAME, sb.EGPO(), steps=300, progress=True)
    assert shown == [300]
