"""Policies: scoring laws, separation of the roles, references, saving."""

from __future__ import annotations

import json

import pytest
import torch
from llm_cases import nudge
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, LlamaConfig

import llm
from llm.logprobs import Scorer, Side
from llm.lora import old_names
from llm.objective import losses
from llm.scoring import score
from llm.testing import tiny_model, tiny_policy, tiny_tokenizer
from stackelberg.gradient import RaoBlackwell, StackelbergReturns

PROMPTS = ["hi", "a longer question", "q"]
SAMPLING = llm.Rollouts(max_new_tokens=10, leaders=2, followers=2, temperature=0.8)
WAYS = {
    "shared": (llm.Shared(), None),
    "shared-lora": (llm.Shared(), llm.LoRA(rank=2)),
    "adapters": (llm.TwoAdapters(), llm.LoRA(rank=2)),
    "models": (llm.TwoModels(), None),
    "models-lora": (llm.TwoModels(), llm.LoRA(rank=2)),
}
every_way = pytest.mark.parametrize("way", WAYS)


def policy_of(way="shared", architecture=LlamaConfig, **options):
    tokenizer = tiny_tokenizer()
    roles, lora = WAYS[way]
    return llm.TransformerPolicy.of(tiny_model(tokenizer, architecture), tokenizer, roles=roles, lora=lora, **options)


def table(scored):
    return [
        getattr(role, name).detach() for role in scored for name in ("log_prob", "reference_log_prob", "mask", "kl")
    ]


def apart(one, other):
    return max(float((a - b).abs().max()) for a, b in zip(table(one), table(other), strict=True))


# --- scoring ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", [LlamaConfig, GPT2Config])
def test_nothing_of_the_batch_changes_a_score(architecture):
    policy = nudge(policy_of(architecture=architecture), 0.05)
    episodes = policy.generate(PROMPTS, SAMPLING, seed=1)
    whole = policy.score(episodes, SAMPLING, kl=True)
    for scorer in (
        Scorer(SAMPLING, side=Side.LEFT),
        Scorer(SAMPLING, micro_batch_tokens=80),
        Scorer(SAMPLING, micro_batch_tokens=80, side=Side.LEFT),
        Scorer(SAMPLING, chunk=261 * 3),
    ):
        assert apart(score(policy, episodes, SAMPLING, kl=True, scorer=scorer), whole) < 1e-5
    alone = policy.score(episodes[:1], SAMPLING, kl=True)
    width = alone[0].log_prob.shape[1]
    assert torch.allclose(alone[0].log_prob[0], whole[0].log_prob[0, :width], atol=1e-5)


def test_one_pass_equals_two():
    """To 1e-6 in float64, where transformers' Llama still takes its norms in float32."""
    tokenizer = tiny_tokenizer()
    policy = llm.TransformerPolicy.of(tiny_model(tokenizer, dtype=torch.float64), tokenizer)
    nudge(policy, 0.05)
    episodes = policy.generate(PROMPTS, SAMPLING, seed=1)
    one, two = (score(policy, episodes, SAMPLING, kl=True, one_sequence=way) for way in (True, False))
    assert one[0].log_prob.dtype == torch.float64
    assert apart(one, two) < 1e-6


@every_way
def test_generated_log_probabilities_are_the_recomputed_ones(way):
    policy = nudge(policy_of(way), 0.05)
    episodes = policy.generate(PROMPTS, SAMPLING, seed=1)
    assert llm.generator_gap(episodes, *policy.score(episodes, SAMPLING)) < 1e-5
    other = llm.Rollouts(max_new_tokens=10, temperature=1.0)
    assert llm.generator_gap(episodes, *policy.score(episodes, other)) > 0.1


def test_a_plain_forward_pass_says_the_same():
    policy = policy_of()
    episodes = policy.generate(PROMPTS, SAMPLING, seed=1)
    leader, follower = policy.score(episodes, SAMPLING, kl=True)
    for i, episode in enumerate(episodes):
        for turn, found in ((episode.leader, leader), (episode.follower, follower)):
            tokens = torch.tensor(turn.completion.tokens)
            logits = policy.speaker(0).core(input_ids=torch.tensor([[*turn.prompt, *turn.completion.tokens]])).logits[0]
            wanted = (logits / 0.8).log_softmax(-1)[len(turn.prompt) - 1 :][: len(tokens)].gather(-1, tokens[:, None])
            assert torch.allclose(found.log_prob[i, : len(tokens)], wanted[:, 0], atol=1e-5)
            assert found.mask[i].sum() == len(tokens)


@pytest.mark.parametrize("architecture", [LlamaConfig, GPT2Config])
def test_only_scored_positions_meet_the_output_layer_and_by_chunks(architecture):
    policy, seen = policy_of(architecture=architecture), []
    episodes = policy.generate(PROMPTS, SAMPLING, seed=1)
    head = policy.speaker(0).core.get_output_embeddings()
    head.register_forward_hook(lambda _, __, out: seen.append(out.shape))
    score(policy, episodes, SAMPLING, scorer=Scorer(SAMPLING, chunk=261 * 7))
    scored = sum(len(each.follower.completion.tokens) for each in episodes)
    scored += sum(len(each.leader.completion.tokens) for each in episodes[::2])
    assert max(shape[0] for shape in seen) <= 7
    assert sum(shape[0] for shape in seen) == scored


# --- roles and references --------------------------------------------------------------------------


@every_way
def test_at_step_0_everybody_is_the_reference_exactly(way):
    policy = policy_of(way)
    leader, follower = policy.score(policy.generate(PROMPTS, SAMPLING), SAMPLING, kl=True)
    for role in (leader, follower):
        assert (role.log_ratios == 0).all()
        assert (role.exact_kl == 0).all()
        assert role.log_prob.requires_grad
        assert not role.reference_log_prob.requires_grad


@every_way
def test_the_reference_stays_where_it_was(way):
    policy = policy_of(way)
    episodes = policy.generate(PROMPTS, SAMPLING)
    before = policy.score(episodes, SAMPLING)
    nudge(policy, 0.1)
    after = policy.score(episodes, SAMPLING)
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old.reference_log_prob, new.reference_log_prob)
        assert (old.log_prob - new.log_prob).abs().max() > 0.1


@every_way
def test_each_role_moves_its_own_weights(way):
    policy = nudge(policy_of(way), 0.05)
    leader, follower = policy.score(policy.generate(PROMPTS, SAMPLING), SAMPLING)
    weights = list(policy.parameters())
    reached = [
        torch.autograd.grad(role.log_prob.sum(), weights, allow_unused=True, retain_graph=True)
        for role in (leader, follower)
    ]
    both = [a is not None and b is not None for a, b in zip(*reached, strict=True)]
    assert all(a is not None or b is not None for a, b in zip(*reached, strict=True))
    assert all(both) if way.startswith("shared") else not any(both)


def test_two_adapters_need_lora():
    with pytest.raises(ValueError, match="TwoAdapters are two LoRA adapters"):
        llm.TransformerPolicy.of(tiny_model(tiny_tokenizer()), tiny_tokenizer(), roles=llm.TwoAdapters())


@every_way
@pytest.mark.parametrize("kl", [True, False])
def test_gradient_checkpointing_changes_no_gradient(way, kl):
    """With two adapters, what is computed again in the backward pass must be computed with its own adapter."""
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)  # peft draws an adapter's first matrix
        policy = nudge(policy_of(way, gradient_checkpointing=checkpointing), 0.05)
        episodes = policy.generate(PROMPTS, SAMPLING, seed=1)
        options = {"kl": RaoBlackwell()} if kl else {}
        for part in losses(
            policy, episodes, [0.9] * 12, StackelbergReturns(0.5, 0.5), sampling=SAMPLING, kappa=5, **options
        ):
            part.loss.backward()
        found.append([weight.grad for weight in policy.parameters()])
    assert max(float((a - b).abs().max()) for a, b in zip(*found, strict=True)) < 1e-5
    assert max(float(a.abs().max()) for a in found[0]) > 1e-2


def test_dropout_is_off_even_in_training():
    policy = policy_of(architecture=GPT2Config)
    episodes = policy.generate(PROMPTS, SAMPLING)
    first = policy.score(episodes, SAMPLING, kl=True)
    policy.speaker(0).network.train()
    assert apart(first, policy.score(episodes, SAMPLING, kl=True)) == 0


def test_a_model_that_changes_its_logits_unknown_to_us_is_refused():
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    model.register_forward_hook(lambda _, __, out: setattr(out, "logits", 2 * out.logits + out.logits**2))
    with pytest.raises(ValueError, match="changes its logits"):
        llm.TransformerPolicy.of(model, tokenizer)


def test_a_known_softcap_is_followed():
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        vocab_size=261, hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2, head_dim=4,
        num_key_value_heads=1, final_logit_softcapping=0.5, pad_token_id=256, bos_token_id=None, eos_token_id=257,
        initializer_range=0.5,
    )  # fmt: skip
    policy = llm.TransformerPolicy.of(Gemma2ForCausalLM(config), tiny_tokenizer())
    episodes = policy.generate(PROMPTS, SAMPLING)
    assert llm.generator_gap(episodes, *policy.score(episodes, SAMPLING)) < 1e-5


# --- saving ----------------------------------------------------------------------------------------


@pytest.fixture
def base(tmp_path):
    tokenizer = tiny_tokenizer()
    tiny_model(tokenizer, dtype=torch.float32).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@every_way
def test_a_saved_policy_says_the_same(way, base, tmp_path):
    roles, lora = WAYS[way]
    dialogue = llm.Dialogue(instruction="Ünd besser!")
    policy = llm.TransformerPolicy.from_pretrained(base, roles=roles, lora=lora, dialogue=dialogue)
    nudge(policy, 0.05).save_pretrained(tmp_path / "run")
    again = llm.TransformerPolicy.from_pretrained(tmp_path / "run")
    assert (again.dialogue, again.roles) == (dialogue, roles)
    episodes = policy.generate(PROMPTS, SAMPLING)
    for one, other in zip(policy.score(episodes, SAMPLING), again.score(episodes, SAMPLING), strict=True):
        assert torch.allclose(one.log_prob, other.log_prob, atol=1e-6)
        assert torch.allclose(one.reference_log_prob, other.reference_log_prob, atol=1e-6) or lora is None
    assert sum(p.numel() for p in policy.parameters()) == sum(p.numel() for p in again.parameters())
    assert list((tmp_path / "run").rglob("*.safetensors"))
    assert json.loads((tmp_path / "run" / "stackelberg.json").read_text(encoding="utf-8"))["version"] == 1


@every_way
def test_plain_transformers_and_peft_load_it(way, base, tmp_path):
    roles, lora = WAYS[way]
    policy = nudge(llm.TransformerPolicy.from_pretrained(base, roles=roles, lora=lora), 0.05)
    policy.save_pretrained(tmp_path / "run")
    place = tmp_path / "run" if isinstance(roles, llm.Shared) else tmp_path / "run" / "follower"
    if lora is None:
        model = AutoModelForCausalLM.from_pretrained(place)
    else:
        from peft import PeftModel

        with old_names():  # peft's own warning
            model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), place)
    ids = torch.tensor([AutoTokenizer.from_pretrained(place)("hello")["input_ids"]])
    with torch.no_grad(), policy.speaker(1).active():
        assert torch.allclose(model.eval()(ids).logits, policy.speaker(1).core(ids).logits, atol=1e-6)


def test_a_saved_policy_is_not_silently_made_into_another(base, tmp_path):
    llm.TransformerPolicy.from_pretrained(base).save_pretrained(tmp_path / "run")
    with pytest.raises(ValueError, match="Load it as it is"):
        llm.TransformerPolicy.from_pretrained(tmp_path / "run", lora=llm.LoRA())


def test_weights_that_learn_are_float32_unless_asked(base, tmp_path):
    tokenizer = tiny_tokenizer()
    tiny_model(tokenizer, dtype=torch.bfloat16).save_pretrained(base)
    full, lora = (llm.TransformerPolicy.from_pretrained(base, lora=each) for each in (None, llm.LoRA(rank=2)))
    assert {weight.dtype for weight in full.parameters()} == {torch.float32}
    assert {weight.dtype for weight in lora.parameters()} == {torch.float32}
    assert lora.speaker(0).core.dtype == torch.bfloat16
    asked = llm.TransformerPolicy.from_pretrained(base, dtype=torch.bfloat16, attention="eager")
    assert {weight.dtype for weight in asked.parameters()} == {torch.bfloat16}


# --- refinement ------------------------------------------------------------------------------------


def test_refinement_goes_on_from_any_answer():
    policy = tiny_policy()
    sampling = llm.Sampling(6, top_p=0.9)
    given = policy.refine(PROMPTS, 2, start=["one", "two", "three"], sampling=sampling, seed=3)
    assert [answers[0] for answers in given] == ["one", "two", "three"]
    assert all(len(answers) == 3 for answers in given)
    assert policy.refine(PROMPTS, 2, start=["one", "two", "three"], sampling=sampling, seed=3) == given
    assert policy.refine(PROMPTS, 2, start=["One", "two", "three"], sampling=sampling, seed=3)[1:] == given[1:]
    assert policy.refine(PROMPTS, 2, sampling=sampling, seed=4) != policy.refine(PROMPTS, 2, sampling=sampling, seed=3)
    with pytest.raises(ValueError, match="2 answers for 3 prompts"):
        policy.refine(PROMPTS, start=["one", "two"])
    with pytest.raises(ValueError, match="room for 1018"):
        policy.refine(["x" * 990], sampling=sampling, rounds=1, start=["y" * 50])


def test_the_follower_is_shown_the_last_answer_and_its_instruction():
    policy, shown = tiny_policy(), []

    class Spy:
        def generate(self, speaker, prompts, **options):
            shown.extend(policy.tokenizer.decode(prompt) for prompt in prompts)
            tokens = (*policy.tokenizer(f"answer {len(shown)}")["input_ids"], policy.tokenizer.eos_token_id)
            return llm.Generated([llm.Completion(tokens, None, True) for _ in prompts])

    from llm.refinement import refine

    assert refine(policy, ["hi"], 2, generator=Spy()) == [["answer 1", "answer 2", "answer 3"]]
    ask = "<|end|><|user|>Improve the previous answer!<|end|><|assistant|>"
    assert shown == [
        "<|user|>hi<|end|><|assistant|>",
        f"<|user|>hi<|end|><|assistant|>answer 1{ask}",
        f"<|user|>hi<|end|><|assistant|>answer 2{ask}",
    ]
