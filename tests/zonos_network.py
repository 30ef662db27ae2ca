"""A small Zonos with random weights, and requests for it."""

import json
import random
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from models.zonos.codes import CODEBOOK_SIZE, END_CODE, NUM_CODEBOOKS
from models.zonos.columns import Frame
from models.zonos.config import ZonosConfig
from models.zonos.generation import ZonosRequest
from models.zonos.network import Zonos, weight_of
from models.zonos.sampling import SamplingSettings


def _conditioner(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"{kind}Conditioner", "name": name, "uncond_type": "learned"} | fields


def zonos_json(hidden_dim: int = 64, num_layers: int = 2, inner_dim: int = 96) -> dict[str, Any]:
    """A ``config.json`` like the published transformer's, of another size."""
    return {
        "backbone": {
            "d_model": hidden_dim,
            "d_intermediate": 0,
            "attn_mlp_d_intermediate": inner_dim,
            "n_layer": num_layers,
            "ssm_cfg": {},
            "attn_layer_idx": list(range(num_layers)),
            "attn_cfg": {
                "causal": True,
                "num_heads": 4,
                "num_heads_kv": 2,
                "rotary_emb_dim": hidden_dim // 4,
                "rotary_emb_interleaved": True,
                "qkv_proj_bias": False,
                "out_proj_bias": False,
            },
            "rms_norm": False,
            "residual_in_fp32": False,
            "norm_epsilon": 1e-5,
        },
        "prefix_conditioner": {
            "conditioners": [
                {"type": "EspeakPhonemeConditioner", "name": "espeak"},
                _conditioner("Passthrough", "speaker", cond_dim=128, projection="linear"),
                _conditioner("Fourier", "emotion", input_dim=8),
                _conditioner("Fourier", "fmax", min_val=0, max_val=24000),
                _conditioner("Fourier", "pitch_std", min_val=0, max_val=400),
                _conditioner("Fourier", "speaking_rate", min_val=0, max_val=40),
                _conditioner("Integer", "language_id", min_val=-1, max_val=126),
            ],
            "projection": "linear",
        },
        "eos_token_id": 1024,
        "masked_token_id": 1025,
    }


TINY = zonos_json()


def random_zonos(config: dict[str, Any] = TINY, seed: int = 0) -> Zonos:
    """Random weights, in eval mode; its speech ends after some ten to a hundred frames."""
    generator = torch.Generator().manual_seed(seed)
    network = Zonos(ZonosConfig.from_upstream(config)).requires_grad_(False).eval()
    for key, tensor in network.state_dict().items():
        if tensor.ndim == 1:  # norms, biases, learned vectors
            offset = 1.0 if "norm" in key and key.endswith("weight") else 0.0
            tensor.copy_(offset + 0.1 * torch.randn(tensor.shape, generator=generator))
        else:
            # Heads steep enough to prefer some codes.
            gain = {"heads": 3.0, "embeddings": 4.0}.get(key.split(".")[0], 1.0)
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(gain * noise / tensor.shape[-1] ** 0.5)
    weight_of(network.heads[0])[END_CODE] *= 2.0
    return network


def write_zonos(folder: Path, network: Zonos, config: dict[str, Any] = TINY) -> None:
    """Write a checkpoint as it would be published."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(network.state_dict(), folder / "model.safetensors")


def random_frames(num: int, seed: int) -> list[Frame]:
    draw = random.Random(seed)
    return [tuple(draw.choices(range(CODEBOOK_SIZE), k=NUM_CODEBOOKS)) for _ in range(num)]


def random_request(network: Zonos, seed: int) -> ZonosRequest:
    """A request that is a function of its seed: lengths, contents and settings vary."""
    draw = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    hidden_dim = network.config.backbone.hidden_dim
    return ZonosRequest(
        prefix=torch.randn(2, draw.randint(1, 30), hidden_dim, generator=generator),
        seed=seed,
        prompt=random_frames(draw.choice([0, 0, 1, 7, 12]), seed),
        sampling=SamplingSettings(
            temperature=draw.choice([0.0, 0.7, 1.0, 1.3]),
            top_p=draw.choice([0.0, 0.9]),
            top_k=draw.choice([0, 20]),
            min_p=draw.choice([0.0, 0.1]),
            linear=draw.choice([0.0, 0.5]),
            conf=0.4,
            repetition_penalty=draw.choice([1.0, 3.0]),
            repetition_penalty_window=draw.choice([2, 5]),
        ),
        guidance_scale=draw.choice([1.5, 2.0, 3.0]),
        max_new_frames=draw.randint(1, 24),
    )
