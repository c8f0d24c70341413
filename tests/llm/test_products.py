"""Products that oneDNN makes are those of torch's BLAS, forwards and backwards, alone and inside a whole step."""

import copy

import pytest
import torch
from torch import nn

import llm
import stackelberg as sb
from llm import products
from llm.generation import TransformersGenerator
from llm.mixture import mixed_turns
from llm.testing import tiny_model, tiny_policy, tiny_tokenizer
from tests.llm_cases import nudge

pytestmark = pytest.mark.skipif(not products._carried(), reason="this torch has no oneDNN, or this is no x86 processor")


@pytest.fixture
def made(monkeypatch):
    """Every product is oneDNN's, however small; the list holds their shapes."""
    shapes, plain = [], products._product

    def spied(inputs, weight, bias=None):
        shapes.append((tuple(inputs.shape), tuple(weight.shape)))
        return plain(inputs, weight, bias)

    monkeypatch.setattr(products, "LARGE", 0)
    monkeypatch.setattr(products, "WIDE", 0)
    monkeypatch.setattr(products, "_product", spied)
    return shapes


@pytest.fixture
def by_blas(monkeypatch):
    """Called, it leaves every product to BLAS from then on."""
    return lambda: monkeypatch.setattr(products, "_here", lambda: False)


def layer_of(wide, narrow, bias, seed=0):
    torch.manual_seed(seed)
    layer = nn.Linear(wide, narrow, bias=bias)
    products.with_large_products(layer)
    return layer


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(700, 336), (3, 50, 336), (2, 3, 20, 336), (1, 336)], ids=str)
def test_forwards_and_backwards_agree_with_exact_arithmetic(made, shape, bias):
    layer = layer_of(336, 130, bias)
    inputs = torch.randn(shape, requires_grad=True)
    upstream = torch.randn(*shape[:-1], 130)
    product = layer(inputs)
    product.backward(upstream)
    assert len(made) == 3

    exact = copy.deepcopy(layer).double()
    exact.zero_grad()
    doubled = inputs.detach().double().requires_grad_()
    wanted = exact(doubled)
    wanted.backward(upstream.double())
    assert len(made) == 3
    pairs = [(product, wanted), (inputs.grad, doubled.grad), (layer.weight.grad, exact.weight.grad)]
    pairs += [(layer.bias.grad, exact.bias.grad)] if bias else []
    for found, true in pairs:
        apart = (found.detach().double() - true.detach()).abs().max()
        assert float(apart / true.detach().abs().max()) < 3e-6  # 700 float32 terms at most


@pytest.mark.parametrize(
    "kind", ["strided inputs", "expanded upstream", "a gradient for inputs alone", "for weights alone"]
)
def test_gradients_of_every_kind_of_tensor_agree(made, by_blas, kind):
    layer = layer_of(64, 48, bias=kind != "a gradient for inputs alone")
    inputs = torch.randn(64, 10).T if kind == "strided inputs" else torch.randn(10, 64)
    inputs.requires_grad_(kind != "for weights alone")
    layer.requires_grad_(kind != "a gradient for inputs alone")

    def gradients():
        product = layer(inputs)
        reach = product.sum() if kind == "expanded upstream" else (product**2).sum()
        return torch.autograd.grad(reach, [each for each in (inputs, *layer.parameters()) if each.requires_grad])

    ours = gradients()
    count = len(made)
    by_blas()
    plain = gradients()
    assert len(made) == count > 0
    for found, wanted in zip(ours, plain, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_a_judge_reads_in_inference_mode(made):
    layer, inputs = layer_of(64, 48, bias=True), torch.randn(10, 64)
    with torch.inference_mode():
        torch.testing.assert_close(
            layer(inputs), nn.functional.linear(inputs, layer.weight, layer.bias), atol=1e-6, rtol=1e-5
        )
    assert len(made) == 1


def test_a_gradient_of_a_gradient_is_refused(made):
    inputs = torch.randn(10, 64, requires_grad=True)
    (first,) = torch.autograd.grad(layer_of(64, 48, bias=False)(inputs).square().sum(), inputs, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_only_plain_float32_on_the_processor_is_oned_nns(made):
    inputs, weight = torch.randn(10, 64), torch.randn(48, 64)
    assert products.by_onednn(inputs, weight)
    assert products.by_onednn(inputs, nn.Parameter(weight))
    assert not products.by_onednn(inputs.double(), weight.double())
    assert not products.by_onednn(inputs.bfloat16(), weight.bfloat16())
    assert not products.by_onednn(inputs.to("meta"), weight.to("meta"))
    assert not products.by_onednn(inputs, weight.as_subclass(type("Sharded", (torch.Tensor,), {})))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not products.by_onednn(inputs, weight)
        assert layer_of(64, 48, bias=True)(inputs).dtype == torch.bfloat16
    before, *_ = torch.backends.mkldnn.set_flags(False)
    try:
        assert not products.by_onednn(inputs, weight)
    finally:
        torch.backends.mkldnn.set_flags(before)
    assert not made


def test_small_products_stay_with_blas():
    weight = torch.empty(512, 512)
    rows = products.LARGE // weight.numel()
    assert products.by_onednn(torch.empty(rows, 512), weight)
    assert not products.by_onednn(torch.empty(rows - 1, 512), weight)


def test_a_network_keeps_its_weights_and_their_names():
    class Own(nn.Linear):
        """Somebody else's, with a forward pass of its own."""

    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), Own(4, 2))
    before = {name: weight.data_ptr() for name, weight in network.named_parameters()}
    products.with_large_products(network)
    assert [type(part) for part in network] == [products.Linear, nn.ReLU, Own]
    assert {name: weight.data_ptr() for name, weight in network.named_parameters()} == before
    assert type(copy.deepcopy(network)[0]) is products.Linear


def test_weights_are_ordered_for_drawing_and_never_longer(made):
    layer = layer_of(64, 48, bias=True)
    inputs = torch.randn(8, 64)
    with torch.no_grad():
        plain = nn.functional.linear(inputs, layer.weight, layer.bias)
    with products.drawing_quickly(layer, rows=8):
        assert layer.ordered is not None
        with torch.no_grad():
            torch.testing.assert_close(layer(inputs), plain, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(layer(inputs[:3, None])[:, 0], plain[:3], rtol=1e-5, atol=1e-6)
        layer(inputs).sum().backward()  # what lies ordered has no gradient, and is not used for one
        torch.testing.assert_close(layer.weight.grad, inputs.sum(0).expand(48, -1), rtol=1e-5, atol=1e-5)
    assert layer.ordered is None
    with pytest.raises(ZeroDivisionError), products.drawing_quickly(layer, rows=8):
        1 / 0  # noqa: B018
    assert layer.ordered is None
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_weights_that_are_drawn_from_may_change_between_draws(made):
    policy = tiny_policy()
    sampling = llm.Rollouts(max_new_tokens=6)
    before = llm.generate(policy, ["Why?"], sampling, seed=3)
    nudge(policy, 0.5)
    after = llm.generate(policy, ["Why?"], sampling, seed=3)
    assert any(weight[-1] for _, weight in made)
    assert llm.generator_gap(after, *policy.score(after, sampling)) < 1e-4
    assert before[0].leader.completion.log_probs != after[0].leader.completion.log_probs


@pytest.mark.parametrize("lora", [None, llm.LoRA(rank=2)], ids=["all weights", "LoRA"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "computed again"])
def test_a_step_is_the_step_of_blas(made, by_blas, lora, checkpointing):
    """Drawn, scored, with the reference beside it, and backwards: the same answers and the same gradients."""

    def step():
        torch.manual_seed(0)  # of the adapters
        tokenizer = tiny_tokenizer()
        policy = llm.TransformerPolicy.of(
            tiny_model(tokenizer, seed=1), tokenizer, lora=lora, gradient_checkpointing=checkpointing
        )
        nudge(policy, 0.05)
        sampling = llm.Rollouts(max_new_tokens=8, backward_tokens=200)
        episodes = llm.generate(policy, ["Why?", "How?", "A longer one, who knows?"], sampling, seed=2)
        returns = sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), tau=0.1).returns()
        for part in llm.losses(policy, episodes, [1.0, 0.2, 0.6], returns, sampling=sampling, kappa=5):
            part.loss.backward()
        return [each.follower.completion.tokens for each in episodes], [weight.grad for weight in policy.parameters()]

    said, gradients = step()
    count = len(made)
    by_blas()
    plainly, plain = step()
    assert len(made) == count > 100
    assert said == plainly
    largest = max(float(each.abs().max()) for each in plain)
    for found, wanted in zip(gradients, plain, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5 * largest)


def test_drawing_from_cached_answers_agrees(made, by_blas):
    policy = nudge(tiny_policy())
    sampling = llm.Rollouts(max_new_tokens=8, followers=2)
    ways = [TransformersGenerator(reuse=reuse) for reuse in (True, False)]
    ours = [llm.generate(policy, ["Why?", "How?"], sampling, seed=4, generator=way) for way in ways]
    by_blas()
    plain = llm.generate(policy, ["Why?", "How?"], sampling, seed=4)
    for episodes in ours:
        assert [each.follower.completion.tokens for each in episodes] == [
            each.follower.completion.tokens for each in plain
        ]


def test_the_reference_of_a_mixture_is_read_as_quickly(made, by_blas):
    policy, sampling = nudge(tiny_policy()), llm.Rollouts(max_new_tokens=6)
    ours = mixed_turns(policy, ["Why?", "How?"], sampling, 0.5, seed=1)
    drawn = [each for each in policy.speaker(0).network.modules() if isinstance(each, products.Linear)]
    assert len(made) >= 2 * 6 * len(drawn)  # both models, at every token
    assert all(each.ordered is None for speaker in (policy.speaker(0), policy.reference(0))
               for each in speaker.network.modules() if isinstance(each, products.Linear))  # fmt: skip
    by_blas()
    plain = mixed_turns(policy, ["Why?", "How?"], sampling, 0.5, seed=1)
    assert [each.completion.tokens for each in ours] == [each.completion.tokens for each in plain]
