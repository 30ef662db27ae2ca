"""The persona's base model: Gemma 3 270M, converted once from its packaged GGUF file.

The package holds 4-bit weights in llama.cpp's format. transformers reads them, slowly, at every
start; so they are unpacked once, to bfloat16 safetensors in the usual folder layout, next to the
fetched assets.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from models.assets import GEMMA, AssetError, build_folder, cache_root, ensure

BASE_MODEL = "gemma-3-270m"

_GGUF_NAME = "gemma-3-270m-q4_k_m.gguf"
_TERMS_NAME = "GEMMA_TERMS.html"
# Part of the folder's name: raise it whenever the conversion below writes something else.
_CONVERSION = 1

BASE_REVISION = f"{GEMMA.version}-{_CONVERSION}"
"""Which weights these are: the checksum of the package, and how they were converted."""


def base_model_path() -> Path:
    """Folder that holds, or will hold, the converted model."""
    return cache_root() / f"{BASE_MODEL}-bf16-{BASE_REVISION}"


def require_base_model() -> Path:
    """Folder of the converted model, which must be there already.

    Raises:
        AssetError: it was never prepared; serving neither downloads nor converts.
    """
    folder = base_model_path()
    if not folder.is_dir():
        raise AssetError(
            f"the base model {BASE_MODEL} is not in {cache_root()}; "
            "prepare it with: python -m models.fetch"
        )
    return folder


def ensure_base_model() -> Path:
    """Fetch and convert the base model unless that is done; return its folder.

    The folder has `config.json`, `model.safetensors` (bfloat16), the tokenizer, and the terms the
    weights are used under. It appears as a whole or not at all.

    Raises:
        AssetError: the packaged model could not be fetched, or its bytes are not the expected ones.
    """
    folder = base_model_path()
    if folder.is_dir():
        return folder
    source = ensure(GEMMA)
    print(f"converting {BASE_MODEL} to safetensors (about a minute, once)", flush=True)
    with build_folder(folder) as staging:
        if staging is not None:
            _convert(source, staging)
            shutil.copyfile(source / _TERMS_NAME, staging / _TERMS_NAME)
    return folder


def _convert(source: Path, target: Path) -> None:
    # Imported here: transformers takes seconds to import, and a prepared model needs none of it.
    from transformers import AutoTokenizer, Gemma3ForCausalLM, GgufConfig

    model = Gemma3ForCausalLM.from_pretrained(
        source,
        gguf_file=_GGUF_NAME,
        dtype=torch.bfloat16,
        # Without it the model stays marked as quantized, and `save_pretrained` refuses it.
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(target)
    # safetensors leaves its file readable by the owner alone.
    (target / "model.safetensors").chmod(0o644)
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=_GGUF_NAME)
    tokenizer.save_pretrained(target)
