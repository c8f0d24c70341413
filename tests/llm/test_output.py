"""What makes generation and scoring cheap changes nothing: the cache with room, the logits scored in place."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig
from transformers.cache_utils import DynamicLayer

from llm.cache import RoomyLayer, make_room, roomy_cache
from llm.output import taken
from llm.sampling import Noise, Sampling
from llm.testing import tiny_model, tiny_tokenizer


def news(rows, slots, seed):
    return torch.randn(2, rows, 2, slots, 3, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("room", [1, 4, 64])
def test_a_layer_with_room_holds_what_a_plain_one_holds(room):
    roomy, plain = RoomyLayer(room), DynamicLayer()
    rows = 2
    acts = {
        2: lambda cache: cache.batch_repeat_interleave(2),
        4: lambda cache: cache.reorder_cache(torch.tensor([3, 0, 1, 2])),
        6: lambda cache: cache.batch_select_indices(torch.tensor([0, 2])),
        8: lambda cache: cache.reset(),
    }
    for seed in range(11):
        if seed in acts:
            acts[seed](roomy), acts[seed](plain)
            rows = 4 if seed in (2, 4) else 2
        states = news(rows, 1 + seed % 3, seed)
        for found, wanted in zip(roomy.update(*states), plain.update(*states), strict=True):
            assert torch.equal(found, wanted)
        assert roomy.get_seq_length() == plain.get_seq_length()


def test_within_its_room_a_layer_never_moves():
    layer = RoomyLayer(8)
    places = {layer.update(*news(2, 1, seed))[0].data_ptr() for seed in range(8)}
    assert len(places) == 1
    layer.room = 16
    assert layer.update(*news(2, 1, 8))[0].data_ptr() not in places
    assert layer._homes[0].shape[-2] == 16


def test_no_cache_is_made_for_a_model_that_forgets():
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, sliding_window=4,
    )  # fmt: skip
    assert roomy_cache(MistralForCausalLM(config), 8) is None
    cache = roomy_cache(tiny_model(tiny_tokenizer(), LlamaConfig), 8)
    make_room(cache, 9)
    assert [layer.room for layer in cache.layers] == [9, 9]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.7), Sampling(top_k=3), Sampling(top_p=0.6)])
def test_taken_in_place_is_the_log_softmax(sampling):
    logits = (5 * torch.randn(6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).requires_grad_()
    targets, weights = logits.argmax(-1), torch.linspace(-1, 2, 6, dtype=torch.float64)
    wanted = sampling.log_probs(logits).gather(-1, targets[:, None])[:, 0]
    found = taken(sampling.unnormalised(logits * 1), targets)
    assert torch.allclose(found, wanted, atol=1e-12)
    gradients = [torch.autograd.grad((weights * each).sum(), logits)[0] for each in (found, wanted)]
    assert gradients[1].abs().max() > 1e-2
    assert torch.allclose(*gradients, atol=1e-12)


def test_somebody_else_who_needs_the_logits_is_not_deceived():
    logits = torch.randn(2, 3, requires_grad=True).exp()  # exp keeps its result for its gradient
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        taken(logits, torch.tensor([0, 1])).sum().backward()


def test_the_gradient_may_be_asked_for_twice():
    weight = torch.randn(4, 5, requires_grad=True)
    found = taken(torch.eye(4) @ weight, torch.tensor([0, 1, 2, 3])).sum()
    first, second = (torch.autograd.grad(found, weight, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_noise_has_the_tails_of_gumbels():
    """P(noise > t) = 1 − exp(−exp(−t)), counted over two million numbers, within 4.5 standard errors."""
    noise = Noise(list(range(4)), torch.device("cpu"))(500_000).flatten().double()
    for t in (-2.5, -1.0, 0.0, 2.0, 5.0, 9.0):
        p = -torch.expm1(-torch.exp(torch.tensor(-t, dtype=torch.float64)))
        assert abs((noise > t).double().mean() - p) < 4.5 * (p * (1 - p) / len(noise)).sqrt()
