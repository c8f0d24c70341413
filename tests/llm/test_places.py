"""Where a model is looked for: what is no place of one is refused before a hub is asked, a damaged one by its file."""

from __future__ import annotations

import re
import shutil

import pytest
from llm_refusals import cut, refuses

import llm
import llm.judges as judges
from llm.testing import tiny_policy


@pytest.fixture(scope="module")
def policy():
    return tiny_policy()


@pytest.fixture
def hub(monkeypatch):
    """The hub counts how often it is asked, and cannot be reached."""
    import huggingface_hub

    asked = []

    def model_info(name, **_):
        asked.append(name)
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "model_info", model_info)
    return asked


load = llm.TransformerPolicy.from_pretrained


@pytest.mark.parametrize("name", ["./missing", "/missing", "~missing", "~/missing", "a/b/c", "../a", "", ".\\missing"])
def test_what_can_only_be_a_path_is_not_looked_for_in_the_hub(name, hub):
    refuses(lambda: load(name), ValueError, re.escape(name) if name else "empty text", "Name|Pass")
    refuses(lambda: judges.load_judge(name), ValueError, re.escape(name) if name else "empty text", "Name|Pass")
    assert not hub


def test_a_name_that_the_hub_cannot_be_asked_for_is_asked_for_once(hub):
    refuses(lambda: load("missing/folder"), OSError, "no folder missing/folder, and the hub cannot be asked", "Check")
    assert hub == ["missing/folder"]
    with pytest.raises(OSError, match="missing/folder") as caught:
        load("missing/folder")
    assert isinstance(caught.value.__cause__, ConnectionError)
    refuses(lambda: load("a b"), ValueError, "cannot be written so", "Check the spelling")


def test_a_folder_or_a_file_without_a_model(tmp_path, hub, policy):
    refuses(lambda: load(tmp_path), ValueError, "folder without a config.json", "Name a folder")
    policy.save_pretrained(tmp_path / "policy")
    refuses(lambda: load(tmp_path), ValueError, "without a config.json", f"Did you mean {tmp_path / 'policy'}?")
    file = tmp_path / "policy" / "config.json"
    refuses(lambda: load(file), ValueError, "is a file", re.escape(f"Name the folder: {file.parent}"))
    refuses(lambda: load(3), TypeError, "path must be a text or a Path, not 3", "Pass")
    refuses(lambda: load(tmp_path / "policy", lora=4), TypeError, "lora must be a LoRA or None, not 4", "Pass")
    assert not hub


@pytest.fixture(scope="module")
def saved(tmp_path_factory, policy):
    folder = tmp_path_factory.mktemp("saved") / "policy"
    policy.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.safetensors", "stackelberg.json"])
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_damaged_policy_names_the_file(saved, tmp_path, name, share):
    folder = shutil.copytree(saved, tmp_path / "copy")
    cut(folder / name, share)
    refuses(lambda: load(folder), ValueError, f"{re.escape(str(folder / name))} is damaged", "[Ss]ave")
    (folder / "config.json").unlink()
    (folder / "stackelberg.json").unlink()
    refuses(lambda: load(folder), ValueError, "without a config.json", "Name")


def test_a_policy_that_lost_a_file(saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "copy")
    (folder / "model.safetensors").unlink()
    refuses(lambda: load(folder), ValueError, "cannot be read: .*model.safetensors", "See that its files are all there")
