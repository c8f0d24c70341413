"""A server that generates: a process on loopback with a tiny transformer, and adapters loaded while it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import torch
from llm_cases import nudge

import llm
import stackelberg as sb
from llm.judges import Retry
from llm.testing import tiny_model, tiny_policy, tiny_tokenizer

PROMPTS = ["hi", "a longer question", [{"role": "user", "content": "and a conversation"}]]
ROLES = {"shared": llm.Shared(), "two adapters": llm.TwoAdapters(), "two models": llm.TwoModels()}


class Running:
    def __init__(self, url):
        self.url = url

    def control(self, **state):
        request = urllib.request.Request(self.url + "/control", json.dumps(state).encode(), method="POST")
        urllib.request.urlopen(request).close()

    def told(self):
        with urllib.request.urlopen(self.url + "/control") as reply:
            return json.load(reply)

    def seen(self, path):
        return [each for each in self.told()["seen"] if each["path"] == "/v1/" + path]


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    folder, tokenizer = tmp_path_factory.mktemp("base"), tiny_tokenizer()
    tiny_model(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    script = Path(__file__).parent.parent / "llm_server.py"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(script), str(folder)]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            patch.delenv(name, raising=False)
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as running:
            try:
                yield f"http://127.0.0.1:{int(running.stdout.readline())}"
            finally:
                running.terminate()


@pytest.fixture
def running(process):
    made = Running(process)
    made.control(faults=[], adapter_faults=[], mode="processed", seen=[], most=0)
    return made


@pytest.fixture
def server(running, tmp_path):
    retry = Retry(attempts=3, first_wait=0.0)
    made = llm.Server(running.url + "/v1", model="base", adapter_folder=tmp_path, key="k", timeout=20, retry=retry)
    yield made
    running.control(faults=[], adapter_faults=[])
    made.close()
    assert not [name for name in running.told()["roots"] if name.split("-")[1:2] == [made._adapters.run]]
    assert list(tmp_path.iterdir()) == []


def policy_of(roles="shared"):
    tokenizer = tiny_tokenizer()
    return nudge(llm.TransformerPolicy.of(tiny_model(tokenizer), tokenizer, lora=llm.LoRA(rank=2), roles=ROLES[roles]))


def gap(policy, sampling):
    episodes = policy.generate(PROMPTS, sampling)
    return llm.generator_gap(episodes, *policy.score(episodes, sampling))


def impatient(server, **options):
    return llm.Server(server.url, model="base", adapter_folder=server.adapter_folder, **options)


@pytest.mark.parametrize("options", [{}, {"temperature": 0.6}], ids=str)
@pytest.mark.parametrize("roles", ROLES)
def test_log_probabilities_are_those_of_the_policy(server, roles, options):
    policy = policy_of(roles)
    sampling = llm.Rollouts(max_new_tokens=6, generator=server, **options)
    episodes = llm.generate(policy, PROMPTS, sampling, seed=1)
    assert llm.generator_gap(episodes, *policy.score(episodes, sampling)) < 1e-5
    assert len({each.leader.completion for each in episodes}) == 3
    other = llm.Rollouts(max_new_tokens=6, temperature=1.3)
    assert llm.generator_gap(episodes, *policy.score(episodes, other)) > 0.05


def test_stop_strings_and_end_marks_end_as_they_do_here(server, running):
    policy, letters = policy_of(), "abcdefghijklm"
    policy.speaker(0).core.generation_config.eos_token_id = list(range(100, 116))
    sampling = llm.Rollouts(max_new_tokens=10, leaders=8, followers=0, stop=tuple(letters))
    episodes = llm.generate(policy, PROMPTS, sampling, generator=server)
    said = [each.leader for each in episodes]
    assert running.seen("completions")[-1]["stop"] == list(letters)
    ends = {(each.completion.tokens[-1] in range(100, 116), each.completion.finished) for each in said}
    assert ends == {(True, True), (False, True), (False, False)}
    for each in said:
        whole = policy.tokenizer.decode(each.content, skip_special_tokens=True)
        assert not set(whole[:-1]) & set(letters)
        assert not set(each.text) & set(letters)
        assert len(each.completion.log_probs) == len(each.completion.tokens)
        assert each.completion.finished or len(each.completion.tokens) == 10
    running.control(faults=["overshoot"])  # a server may tell more than was asked for
    assert llm.generate(policy, PROMPTS, sampling, generator=server) == episodes


def test_an_adapter_that_has_learnt_is_sent_and_only_that(server, running):
    policy = policy_of("two adapters")
    sampling = llm.Rollouts(max_new_tokens=3, generator=server)

    def loads():
        return [each["lora_name"].split("-")[2] for each in running.seen("load_lora_adapter")]

    assert gap(policy, sampling) < 1e-5
    assert gap(policy, sampling) < 1e-5
    assert loads() == ["leader", "follower"]
    weights = [weight for name, weight in policy.speaker(0).network.named_parameters() if ".leader." in name]
    torch.optim.SGD(weights, lr=0.5).step()  # no gradient, no step
    assert gap(policy, sampling) < 1e-5
    assert len(loads()) == 2
    weights[-1].data.add_(0.3)  # past autograd's own count of changes
    assert gap(policy, sampling) < 1e-5
    assert loads() == ["leader", "follower", "leader"]
    names = [each["lora_name"] for each in running.seen("load_lora_adapter")]
    assert [each["lora_name"] for each in running.seen("unload_lora_adapter")] == [names[0]]
    assert set(running.told()["roots"]) == {"base", *names[1:]}
    assert len(set(names)) == 3


def test_a_step_of_training_reaches_the_server(server):
    """With the adapter from before the step the gap would be large: the test can fail."""
    policy = policy_of()
    sampling = llm.Rollouts(max_new_tokens=8, generator=server)
    before = policy.generate(PROMPTS, sampling)
    game = sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), tau=0.1)
    optimizer = torch.optim.SGD(policy.parameters(), lr=5.0)
    for part in llm.losses(policy, before, [1.0, 0.0, 1.0], game.returns(), sampling=sampling):
        part.loss.backward()
    optimizer.step()
    assert llm.generator_gap(before, *policy.score(before)) > 0.01
    after = policy.generate(PROMPTS, sampling)
    assert llm.generator_gap(after, *policy.score(after)) < 1e-5


def test_a_run_of_solve_draws_there_after_every_step(server, running):
    def longer(prompts, first, second):
        return [float(len(one) > len(other)) for one, other in zip(first, second, strict=True)]

    policy = policy_of("two adapters")
    game = sb.StackelbergGame(longer, contexts=["Why?", "How?", "Who?"], tau=0.1)
    sampling = llm.Rollouts(prompts=3, max_new_tokens=3, generator=server)
    sb.solve(game, sb.StackelbergGDA(learning_rate=1e-2, kappa=5), policy, steps=2, sampling=sampling)
    assert len(running.seen("load_lora_adapter")) == 4  # two roles before each of two steps
    assert len(running.seen("completions")) == 12
    assert gap(policy, sampling) < 1e-5


def test_the_same_seed_the_same_draw_whatever_the_company(server):
    policy, sampling = policy_of(), llm.Rollouts(max_new_tokens=4, leaders=2, micro_batch_tokens=64)
    everything = llm.generate(policy, PROMPTS, sampling, seed=3, generator=server)  # longer than a micro-batch together
    assert llm.generate(policy, PROMPTS[:1], sampling, seed=3, generator=server) == everything[:2]
    assert llm.generate(policy, PROMPTS[:1], sampling, seed=4, generator=server) != everything[:2]


@pytest.mark.parametrize("options", [{"temperature": 0.5}, {"top_p": 0.7}, {"top_k": 3}], ids=str)
def test_the_distribution_drawn_from_is_the_one_asked_for(server, options):
    """What is told of the first token is what our own sampling makes of our own logits."""
    policy, sampling = policy_of(), llm.Rollouts(max_new_tokens=1, leaders=24, followers=0, **options)
    drawn = llm.generate(policy, ["hi"], sampling, generator=server)
    ours = sampling.log_probs(_first_logits(policy, drawn[0].leader.prompt))
    for (token,), (told,) in {(each.leader.completion.tokens, each.leader.completion.log_probs) for each in drawn}:
        assert told == pytest.approx(float(ours[token]), abs=1e-4)
    assert len({each.leader.completion.tokens for each in drawn}) > 2


def _first_logits(policy, prompt):
    speaker = policy.speaker(0)
    with speaker.listening():
        return speaker.core(input_ids=torch.tensor([prompt])).logits[0, -1]


def test_greedy_is_certain_and_the_same_as_here(server):
    policy, sampling = policy_of(), llm.Rollouts(max_new_tokens=6, temperature=0.0)
    there = llm.generate(policy, PROMPTS, sampling, generator=server)
    assert there == policy.generate(PROMPTS, sampling)
    assert set(there[0].leader.completion.log_probs) == {0.0}


def test_nothing_is_left_to_the_servers_defaults(server, running):
    policy_of().generate(["hi"], llm.Rollouts(max_new_tokens=2, generator=server, followers=0))
    (asked,) = running.seen("completions")
    assert asked["key"] == "Bearer k"
    assert asked["prompt"] == list(policy_of().dialogue.leader_prompt(tiny_tokenizer(), "hi"))
    plain = {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "n": 1}
    assert plain.items() <= asked.items()
    assert asked["ignore_eos"]
    assert asked["stop_token_ids"] == [tiny_tokenizer().eos_token_id]


def test_the_reference_is_the_base_itself(server, running):
    policy = policy_of()
    prompt = tuple(policy.dialogue.leader_prompt(policy.tokenizer, "hi"))
    server.generate(
        policy.reference(0), [prompt], sampling=llm.Sampling(2), ending=policy.ending(), tokenizer=None, seeds=[0]
    )
    assert [each["model"] for each in running.seen("completions")] == ["base"]
    assert running.seen("load_lora_adapter") == []


FAULTS = ["500", "503", "429", "html", "hang", "base", "no ids", "two answers", "impossible", "fewer", "beyond",
          "other prompt", "short"]  # fmt: skip


@pytest.fixture(scope="module")
def patient(process, tmp_path_factory):
    """A policy and a client for all the faults."""
    folder, retry = tmp_path_factory.mktemp("adapters"), Retry(attempts=2, first_wait=0.0)
    generator = llm.Server(process + "/v1", model="base", adapter_folder=folder, timeout=0.4, retry=retry)
    policy, sampling = policy_of(), llm.Rollouts(max_new_tokens=3, followers=0, generator=generator)
    return policy, sampling, policy.generate(PROMPTS, sampling)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_is_retried_and_changes_nothing(patient, running, fault):
    policy, sampling, right = patient
    before = sampling.generator.tally.retries
    running.control(faults=[fault, ""])
    assert policy.generate(PROMPTS, sampling) == right
    assert sampling.generator.tally.retries == before + 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [("500", "status 500"), ("html", "holds no completion"), ("base", "answered for"), ("no ids", "tells no token ids"),
     ("two answers", "different tokens"), ("impossible", "that are none"), ("fewer", "log-probabilities of"),
     ("beyond", "beyond a vocabulary of 261"), ("other prompt", "another prompt"), ("short", "where none is an ending"),
     ("hang", "no whole answer within 0.4 s"), ("404", "answers 404: .*broken"), ("400", "refused a request .* 400")],
)  # fmt: skip
def test_a_fault_that_stays_stops_the_run(patient, running, fault, said):
    policy, sampling, right = patient
    running.control(faults=[fault])
    with pytest.raises(llm.GeneratorError, match=said):
        policy.generate(PROMPTS, sampling)
    running.control(faults=[])
    assert policy.generate(PROMPTS, sampling) == right  # and when it is mended all goes on


def test_a_server_started_anew_is_sent_the_adapter_again(server, running):
    policy, sampling = policy_of(), llm.Rollouts(max_new_tokens=5, followers=0, generator=server)
    policy.generate(PROMPTS, sampling)
    (load,) = running.seen("load_lora_adapter")
    forgotten = urllib.request.Request(
        running.url + "/v1/unload_lora_adapter", json.dumps({"lora_name": load["lora_name"]}).encode(), method="POST"
    )
    urllib.request.urlopen(forgotten).close()
    with pytest.raises(llm.GeneratorError, match="answers 404"):
        policy.generate(PROMPTS, sampling)
    assert gap(policy, sampling) < 1e-5


def test_a_load_that_was_late_but_happened_is_no_failure(server, running):
    policy, sampling = policy_of(), llm.Rollouts(max_new_tokens=5, followers=0)
    patient = impatient(server, timeout=0.5, retry=Retry(attempts=2, first_wait=0.0))
    running.control(adapter_faults=["late", ""])
    episodes = llm.generate(policy, PROMPTS, sampling, generator=patient)
    assert len(running.seen("load_lora_adapter")) == 2
    assert llm.generator_gap(episodes, *policy.score(episodes)) < 1e-5
    patient.close()


@pytest.mark.parametrize(("fault", "said"), [("404", "--enable-lora"), ("400", "refused a request"), ("500", "500")])
def test_an_adapter_that_is_not_taken_stops_the_run(running, tmp_path, fault, said):
    server = llm.Server(running.url + "/v1", model="base", adapter_folder=tmp_path, retry=Retry(2, 0.0))
    running.control(adapter_faults=[fault])
    with pytest.raises(llm.GeneratorError, match=f"did not take the adapter.*{said}"):
        llm.generate(policy_of(), PROMPTS, llm.Rollouts(max_new_tokens=5), generator=server)
    assert running.seen("completions") == []


def test_the_server_may_see_the_folder_under_another_name(running, tmp_path):
    (tmp_path / "there").symlink_to(tmp_path)
    server = llm.Server(
        running.url + "/v1", model="base", adapter_folder=tmp_path, seen_as=str(tmp_path / "there"), retry=Retry(1)
    )
    policy, sampling = policy_of("two adapters"), llm.Rollouts(max_new_tokens=3, generator=server)
    assert gap(policy, sampling) < 1e-5
    assert {Path(each["lora_path"]).parts[-3] for each in running.seen("load_lora_adapter")} == {"there"}
    server.close()


def test_log_probabilities_before_temperature_are_refused_where_they_differ(server, running):
    policy = policy_of()
    running.control(mode="raw")
    for options in ({"temperature": 0.7}, {"top_p": 0.9}, {"top_k": 4}):
        with pytest.raises(llm.GeneratorError, match="--logprobs-mode processed_logprobs"):
            llm.generate(policy, PROMPTS, llm.Rollouts(max_new_tokens=3, **options), generator=server)
    episodes = llm.generate(policy, PROMPTS, llm.Rollouts(max_new_tokens=3), generator=server)
    assert llm.generator_gap(episodes, *policy.score(episodes)) < 1e-5


def test_whole_models_and_what_the_server_would_change_are_refused(server):
    with pytest.raises(ValueError, match="can be sent LoRA adapters"):
        llm.generate(tiny_policy(), ["hi"], llm.Rollouts(), generator=server)
    for options in ({"temperature": 0.001}, {"stop": ("",)}):
        with pytest.raises(ValueError, match=r"asked for|empty text"):
            llm.generate(policy_of(), ["hi"], llm.Rollouts(**options), generator=server)
    for options in ({"concurrency": 0}, {"timeout": 0.0}):
        with pytest.raises(ValueError, match=r"concurrency must be 1|timeout must be above 0"):
            impatient(server, **options)


@pytest.mark.parametrize("most", [2, 6])
def test_so_many_prompts_are_under_way_at_once(server, running, most):
    running.control(faults=["slow"])
    sampling = llm.Rollouts(max_new_tokens=1, leaders=2, followers=0, generator=impatient(server, concurrency=most))
    assert len(policy_of().generate(PROMPTS, sampling)) == 6
    assert running.told()["most"] == most
    sampling.generator.close()


def test_a_run_knows_it_by_its_model_not_its_address_or_key(server):
    """A run's identity is made of reprs; a server that has moved is no other run."""
    assert repr(impatient(server, key="secret", timeout=3.0)) == "Server(model='base')"


def test_refinement_uses_it_too(server, running):
    answers = policy_of().refine(["hi"], rounds=1, sampling=llm.Rollouts(max_new_tokens=3, generator=server))
    assert len(answers[0]) == 2
    assert len(running.seen("completions")) == 2
