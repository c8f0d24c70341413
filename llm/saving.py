"""Reading and writing what a policy is made of: models, adapters, and the roles' templates as JSON."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch

from llm.dialogue import ChatTemplate, Dialogue, PlainTemplate
from llm.lora import old_names
from llm.places import check_place, reading
from llm.roles import Roles, Shared, TwoAdapters, TwoModels

TEMPLATES = "stackelberg.json"
_ROLES: dict[str, type[Roles]] = {kind.__name__: kind for kind in (Shared, TwoAdapters, TwoModels)}
_KINDS: dict[str, Any] = {kind.__name__: kind for kind in (ChatTemplate, PlainTemplate)}


def templates_of(roles: Roles, dialogue: Dialogue) -> dict[str, Any]:
    """What :func:`read_templates` reads.

    Raises:
        TypeError: if the roles or the template are of a kind of your own, which could not be read again.
    """
    for made, known in ((roles, _ROLES), (dialogue.template, _KINDS)):
        if type(made).__name__ not in known:
            raise TypeError(f"{type(made).__name__} cannot be written as JSON. Known are {', '.join(known)}.")
    template = {"kind": type(dialogue.template).__name__, **dataclasses.asdict(dialogue.template)}  # type: ignore[call-overload]
    return {"version": 1, "roles": type(roles).__name__, "instruction": dialogue.instruction, "template": template}


def read_templates(folder: Path) -> tuple[Roles | None, Dialogue | None]:
    """The roles and the dialogue of a saved policy; None twice where a folder or hub name has none."""
    place = folder / TEMPLATES
    if not place.is_file():
        return None, None
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
        if found.get("version") == 1:
            template = dict(found["template"])
            kind = _KINDS[template.pop("kind")]
            return _ROLES[found["roles"]](), Dialogue(found["instruction"], kind(**template))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{place} is damaged or was changed: {type(error).__name__}: {error}. Save the policy again, or delete the "
            "file to load the model with roles and templates of your own."
        ) from error
    raise ValueError(f"{place} is of version {found.get('version')}, and 1 is known here. Update the toolkit.")


def load_network(
    place: str | Path, options: dict[str, Any], *, adapters: bool = False, base: str | Path | None = None
) -> Any:
    """A causal language model, with an adapter round it where the folder holds one."""
    if (Path(place) / "adapter_config.json").is_file():
        return load_adapters({"default": Path(place)}, options, base=base)
    from transformers import AutoModelForCausalLM

    chosen = {"dtype": "auto" if adapters else torch.float32, **options}
    check_place(place)
    with reading(place):
        return AutoModelForCausalLM.from_pretrained(place, **chosen)


def load_adapters(places: dict[str, Path], options: dict[str, Any], *, base: str | Path | None = None) -> Any:
    """A base and its adapters by name, all of which learn."""
    from peft import PeftConfig, PeftModel

    (first, place), *others = places.items()
    with reading(place):
        found = base or PeftConfig.from_pretrained(str(place)).base_model_name_or_path
    if not found:
        raise ValueError(f"The adapter in {place} does not remember its base. Pass base= with its name or folder.")
    core = load_network(found, options, adapters=True)
    with old_names(), reading(place):
        network = PeftModel.from_pretrained(core, place, adapter_name=first, is_trainable=True)
    for name, other in others:
        with reading(other):
            network.load_adapter(other, name, is_trainable=True)
    return network
