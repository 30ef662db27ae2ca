"""Zonos networks and inputs as the golden vectors were made with."""

import re
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.zonos.columns import Frame
from models.zonos.config import ZonosConfig
from models.zonos.guided_decoder import GuidedDecoder
from models.zonos.network import Zonos
from models.zonos.symbols import language_id
from tests.parity.zonos.fill import GOLDEN, zonos_filler_for

_WEIGHT_EDIT = re.compile(
    r"(heads\.\d\.weight)\[(\d+),:\] = float32\((\S+)\) \* heads\.\d\.weight\[(\d+),:\]"
)


@lru_cache(maxsize=8)
def network_for(file_name: str, config: str = "tiny", weight_edit: str | None = None) -> Zonos:
    """A small network in eval mode, float32, filled with the seed of a golden file; shared."""
    keys = GOLDEN.json(f"keys_{config}.json")
    with torch.device("meta"):
        network = Zonos(ZonosConfig.from_upstream(keys["config"]))
    state = zonos_filler_for(file_name).state(keys["tensors"])
    if weight_edit is not None:
        _edit(state, weight_edit)
    network.load_state_dict(state, strict=True, assign=True)
    return network.requires_grad_(False).eval()


@lru_cache(maxsize=4)
def decoder_for(
    file_name: str, config: str = "tiny", weight_edit: str | None = None
) -> GuidedDecoder:
    """The float32 decoder of the same network."""
    return GuidedDecoder(network_for(file_name, config, weight_edit))


def prefix_for(case: dict[str, Any], file_name: str) -> Tensor:
    """(2, position, channel) of a case of ``generate.json``."""
    network = network_for(file_name, case["config"])
    filler = zonos_filler_for(file_name)
    # What upstream gives where the case names nothing.
    defaults = GOLDEN.json("backbone.json")["conditioning"]
    given = {"emotion": defaults["emotion"]} | case["conditioning"]
    values = {name: torch.tensor([value]).flatten() for name, value in given.items()}
    values["emotion"] = values["emotion"] / values["emotion"].sum()
    values["speaker"] = filler.values("in.speaker", (1, 1, 128))[0, 0]
    values["language_id"] = torch.tensor([language_id(case["language"])])
    phoneme_ids = torch.tensor(case["phoneme_ids"])
    with torch.inference_mode():
        return network.prefix_conditioner.guidance_pair(phoneme_ids, values)


def prompt_for(case: dict[str, Any], file_name: str) -> list[Frame]:
    """The frames that a case goes on from."""
    shape = (1, 9, case["prefix_len"])
    codes = zonos_filler_for(file_name).integers("in.audio_prefix", shape, 1024)
    return [tuple(frame) for frame in codes[0].T.tolist()]


def frames_of(codes: Any) -> list[Frame]:
    """(codebook, frame) as frames."""
    return [tuple(frame) for frame in np.asarray(codes).T.tolist()]


def columns_of(codes: np.ndarray) -> Tensor:
    """(1, codebook, column) -> (column, codebook)."""
    return torch.from_numpy(np.ascontiguousarray(codes[0].T))


def _edit(state: dict[str, Tensor], weight_edit: str) -> None:
    match = _WEIGHT_EDIT.fullmatch(weight_edit)
    assert match is not None, weight_edit
    key, target, factor, source = match.groups()
    state[key][int(target)] = float(np.float32(factor)) * state[key][int(source)]
