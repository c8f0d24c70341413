"""What a judge may not say, and what is told of one with which the order of the answers counts."""

from __future__ import annotations

import numpy as np
import pytest
from llm_refusals import refuses

import llm
import llm.judges as judges
import stackelberg as sb
from llm.judges.orders import watch_orders
from llm.testing import tiny_policy


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ([0.5], "shape"), (["yes", "no"], "texts|type"), ([0.5, 1.5], "pair 1 is 1.5"), ([np.inf, 0.5], "pair 0 is inf"),  # noqa: E501
        (0.5, "shape"), ([[0.5], [0.5]], "shape"),
    ],
)  # fmt: skip
def test_what_a_judge_may_not_say(said, wrong):
    refuses(lambda: judges.ask(lambda *_: said, ["x"] * 2, ["a"] * 2, ["b"] * 2), ValueError, wrong, "must|Pass")


def test_a_judge_whose_order_counts_is_told_of_once(caplog):
    def first(prompts, one, other):
        return np.full(len(one), 0.9)

    asked = ["?"] * 4, ["long", "b", "c", "d"], ["short", "b", "d", "c"]
    fair = judges.BothOrders(first)
    watch_orders(fair, *asked, judges.ask(fair, *asked))
    assert not caplog.records
    for _ in range(2):
        watch_orders(first, *asked, np.array([0.9, 0.6, 0.9, 0.9]))
    (record,) = caplog.records
    assert "prefers 'd' to 'c' with 0.9 and the other way round with 0.9: together 1.8" in record.getMessage()
    assert "BothOrders(judge)" in record.getMessage()


def test_another_judge_at_the_address_of_one_told_of_is_told_of_too(caplog):
    for count in (1, 2):
        judge = judges.Named(lambda *_: [0.5], f"judge {count}")
        watch_orders(judge, ["?"], ["a"], ["a"], np.array([0.9]))
        del judge
        assert len(caplog.records) == count


def test_training_tells_of_a_judge_whose_order_counts(caplog):
    game = sb.NashGame(lambda x, a, b: np.full(len(a), 0.9), contexts=["ab"], tau=0.1)
    sampling = llm.Rollouts(prompts=1, leaders=8, max_new_tokens=1)
    solver = sb.NashMDPG(learning_rate=1e-4, mixture=0.0)
    sb.solve(game, solver, tiny_policy("ab"), steps=1, sampling=sampling)
    assert sum("together 1.8" in each.getMessage() for each in caplog.records) == 1


def test_no_table_is_made_of_a_judge_whose_order_counts():
    game = sb.StackelbergGame(lambda x, a, b: [0.9] * len(a), contexts=["ab"], tau=0.1)
    sampling = llm.Rollouts(max_new_tokens=1)
    refuses(lambda: llm.listed(game, tiny_policy("ab"), sampling), ValueError, "0.9 and the other way", "BothOrders")
