"""A server in vLLM's dialect, as a process of its own: ``python tests/llm_server.py FOLDER`` prints its port.

It has a tiny transformer and loads adapters with peft. Its sampling is written apart from ``llm.sampling``, after
vLLM's: temperature, then top-k, then top-p from the unlikely end. Its own defaults are poor ones (temperature 0.3, an
end mark of its own), so that a request which leaves something out is found out. ``POST /control`` sets faults,
answered one a request, and ``GET /control`` tells what was asked.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

BASE, OWN_END = "base", 7


class Model:
    """The base and its adapters by name."""

    def __init__(self, folder: str) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.core = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.network = None
        self.roots = {BASE: folder}

    def load(self, name: str, path: str) -> None:
        if self.network is None:
            self.network = PeftModel.from_pretrained(self.core, path, adapter_name=name)
        else:
            self.network.load_adapter(path, name)
        self.network.eval()
        self.roots[name] = path

    def unload(self, name: str) -> None:
        del self.roots[name]
        if len(self.roots) > 1:  # peft does not give up its last adapter
            self.network.set_adapter(next(other for other in self.roots if other != BASE))
            self.network.delete_adapter(name)

    def logits(self, name: str, ids: list[int]) -> torch.Tensor:
        given = {"input_ids": torch.tensor([ids]), "use_cache": False}
        if self.network is None:
            return self.core(**given).logits[0, -1]
        if name == BASE:
            with self.network.disable_adapter():
                return self.network(**given).logits[0, -1]
        self.network.set_adapter(name)
        return self.network(**given).logits[0, -1]

    @torch.no_grad()
    def complete(self, body: dict, mode: str) -> dict:
        generator = torch.Generator().manual_seed(body.get("seed") or 0)
        ends = set(body.get("stop_token_ids") or []) | (set() if body.get("ignore_eos") else {OWN_END})
        said, told, reason = [], [], "length"
        while len(said) < body.get("max_tokens", 16):
            raw = self.logits(body["model"], body["prompt"] + said)
            drawn_from = processed(raw, body)
            token = int(torch.multinomial(drawn_from.exp(), 1, generator=generator))
            said.append(token)
            told.append(float((raw.log_softmax(-1) if mode == "raw" else drawn_from)[token]))
            text = self.tokenizer.decode(said, skip_special_tokens=True)
            if token in ends or any(stop in text for stop in body.get("stop") or []):
                reason = "stop"
                break
        logprobs = {"token_logprobs": told, "tokens": [f"token_id:{token}" for token in said]}
        choice = {"index": 0, "text": text, "finish_reason": reason, "logprobs": logprobs}
        if body.get("return_token_ids"):
            choice |= {"token_ids": said, "prompt_token_ids": body["prompt"]}
        return {"model": body["model"], "choices": [choice], "usage": {"total_tokens": len(said)}}


def processed(logits: torch.Tensor, body: dict) -> torch.Tensor:
    heat = body.get("temperature", 0.3)
    if heat == 0:  # vLLM then tells the likelihood, not that the token was certain
        likely = torch.full_like(logits, -torch.inf)
        likely[logits.argmax()] = logits.log_softmax(-1).max()
        return likely
    logits = logits / max(heat, 0.01)
    if (k := body.get("top_k", 5)) > 0:
        logits = torch.where(logits < logits.sort().values[-k], -torch.inf, logits)
    order = logits.argsort()
    unlikely = logits[order].softmax(-1).cumsum(-1) <= 1 - body.get("top_p", 0.5)
    unlikely[-1] = False
    logits = logits.index_fill(0, order[unlikely], -torch.inf)
    return logits.log_softmax(-1)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/control":
            return self.reply(200, {"seen": STATE["seen"], "most": STATE["most"], "roots": MODEL.roots})
        return self.reply(200, {"data": [{"id": name, "root": root} for name, root in MODEL.roots.items()]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/control":
            STATE.update(body)
            return self.reply(200, {})
        with LOCK:
            STATE["seen"].append({"path": self.path, "key": self.headers.get("authorization"), **body})
            faults = STATE["faults"] if self.path == "/v1/completions" else STATE["adapter_faults"]
            fault = faults[0] if len(faults) == 1 else faults.pop(0) if faults else ""
        try:
            return self.answer(fault, body)
        except (BrokenPipeError, ConnectionResetError):
            return None

    def answer(self, fault: str, body: dict):
        if fault.isdigit():
            return self.reply(int(fault), {"error": {"message": f"broken: {fault}"}})
        if fault == "slow":
            with LOCK:
                STATE["now"] += 1
                STATE["most"] = max(STATE["most"], STATE["now"])
            time.sleep(0.2)
            with LOCK:
                STATE["now"] -= 1
        if fault == "hang":
            time.sleep(1.5)
            return None
        if fault == "html":
            return self.reply(200, "<html>It works!</html>")
        if self.path == "/v1/completions":
            return self.completions(fault, body)
        name, known = body["lora_name"], body["lora_name"] in MODEL.roots
        if self.path == "/v1/load_lora_adapter":
            if known:
                return self.reply(400, {"error": {"message": f"'{name}' has already been loaded."}})
            if not (Path(body["lora_path"]) / "adapter_config.json").is_file():
                return self.reply(404, {"error": {"message": f"No adapter found for {name}"}})
            with LOCK:
                MODEL.load(name, body["lora_path"])
            if fault == "late":
                time.sleep(1.5)
            return self.reply(200, f"Success: LoRA adapter '{name}' added successfully.")
        if not known:
            return self.reply(404, {"error": {"message": f"'{name}' cannot be found."}})
        with LOCK:
            MODEL.unload(name)
        return self.reply(200, f"Success: LoRA adapter '{name}' removed successfully.")

    def completions(self, fault: str, body: dict):
        if body["model"] not in MODEL.roots:
            return self.reply(404, {"error": {"message": f"The model {body['model']} does not exist."}})
        if fault == "base":
            body = {**body, "model": BASE}
        if fault == "overshoot":
            body = {**body, "stop": [], "stop_token_ids": []}
        with LOCK:
            found = MODEL.complete(body, STATE["mode"])
        choice = found["choices"][0]
        if fault == "no ids":
            del choice["token_ids"]
            choice["logprobs"]["tokens"] = list(choice["text"])
        elif fault == "two answers":
            choice["token_ids"] = [*choice["token_ids"][::-1], 0]
        elif fault == "impossible":
            choice["logprobs"]["token_logprobs"][0] = 0.5
        elif fault == "fewer":
            choice["logprobs"]["token_logprobs"].pop()
        elif fault == "beyond":
            choice["token_ids"] = [*choice["token_ids"][:-1], 10**6]
            choice["logprobs"]["tokens"][-1] = f"token_id:{10**6}"
        elif fault == "other prompt":
            choice["prompt_token_ids"] = [0, *choice["prompt_token_ids"]]
        elif fault == "short":
            choice["token_ids"], choice["finish_reason"] = choice["token_ids"][:1], "stop"
            choice["logprobs"] = {key: value[:1] for key, value in choice["logprobs"].items()}
        return self.reply(200, found)

    def reply(self, status: int, body):
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


if __name__ == "__main__":
    torch.set_num_threads(1)
    MODEL, LOCK = Model(sys.argv[1]), threading.Lock()
    STATE = {"seen": [], "faults": [], "adapter_faults": [], "mode": "processed", "now": 0, "most": 0}
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
