"""The model card of an adapter: what it is, where it comes from, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.persona.persona import Persona
from training.evaluation.markup import file_table, markdown_table

_NUM_LINES = 8


def persona_card(
    persona: Persona, notice: str, training: dict[str, Any], files: Mapping[str, bytes]
) -> str:
    """A README with the front matter that model hubs read.

    Args:
        persona: as published, with its adapter.
        notice: passed on for the base model's terms; may be empty.
        training: what ``training.json`` holds.
        files: what lies beside the card; listed with size and hash.
    """
    parts = [
        _front_matter(persona),
        f"# {persona.ref}",
        f"{persona.display_name}: {persona.description}",
        "A LoRA adapter of a language model. It answers a scene (상황), with an optional stage "
        "direction (지문), by one line in character. Fiction; not an adviser, and no source of "
        "facts.",
        *([f"> {notice}"] if notice else []),
        _facts(persona, training),
        "## Losses and precisions",
        _figures(training),
        "## What it says to scenes it was not trained on",
        "As the model wrote it, before any engine guides or repairs a line.",
        _lines(training),
        "## Files",
        file_table(files),
        "Every argument of the training is in `training.json`. Loaded by PEFT with "
        "`PeftModel.from_pretrained(base_model, folder)`.",
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(persona: Persona) -> str:
    licence = "gemma" if "Gemma" in persona.licence else "other"
    return (
        f"---\nlicense: {licence}\nlanguage: ko\nlibrary_name: peft\n"
        f"base_model: {persona.base_model}\npipeline_tag: text-generation\ntags: [lora]\n---"
    )


def _facts(persona: Persona, training: dict[str, Any]) -> str:
    adapter, data = persona.adapter, training["data"]
    assert adapter is not None  # it is being published
    arguments = training["arguments"]
    return markdown_table(
        ("", ""),
        [
            ("licence", persona.licence),
            ("base model", f"{persona.base_model}, revision `{adapter.base_revision}`"),
            ("LoRA", f"rank {adapter.rank}, alpha {adapter.alpha:g}"),
            ("on", ", ".join(adapter.target_modules)),
            ("base in training", adapter.trained_in),
            ("rows", f"{data['trained_on']} trained on, {data['held_out']} held out"),
            (
                "updates",
                f"{training['losses']['updates']} of {arguments['batch_size']} × "
                f"{arguments['accumulate']} × {arguments['num_workers']} rows",
            ),
            ("learning rate", f"{arguments['lr']:g}, cosine"),
            ("seed", arguments["seed"]),
        ],
    )


def _figures(training: dict[str, Any]) -> str:
    losses = training["losses"]
    served = [
        (
            one["precision"],
            f"{one['max_logit_difference']:.3g}",
            f"{one['format_compliance']:.0%}",
        )
        for one in training["serves_in"]
    ]
    return (
        f"Held-out loss per token: {losses['held_out_before']:.3f} before, "
        f"{losses['held_out']:.3f} after.\n\n"
    ) + markdown_table(("served in", "largest logit difference", "well-formed lines"), served)


def _lines(training: dict[str, Any]) -> str:
    rows = [(one["input"], one["line"]) for one in training["lines"][:_NUM_LINES]]
    return markdown_table(("scene", "line"), rows)
