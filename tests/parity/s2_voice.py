"""S2 networks with the golden vectors' weights, and the inputs several tests share."""

from functools import lru_cache

import torch
from torch import Tensor

from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.discriminator import Discriminators
from models.gpt_sovits.s2.reference_audio import reference_spectrogram
from models.gpt_sovits.s2.synthesizer import Synthesizer
from models.gpt_sovits.s2.upstream_keys import from_upstream
from tests.parity.fill import Filler, filler_for
from tests.parity.golden import GoldenFolder

GOLDEN = GoldenFolder("gpt_sovits_v2")
SIZES = ("tiny", "full")
_KEYS = {"tiny": "keys_s2_g_tiny.json", "full": "keys_s2_g.json"}


def voice_config(size: str) -> S2Config:
    if size == "tiny":
        return S2Config.from_upstream(GOLDEN.json("config_s2_tiny_model.json"))
    full = GOLDEN.json("config_s2_full.json")
    return S2Config.from_upstream(full["model"], full["data"])


def generator_keys(size: str) -> dict[str, dict[str, object]]:
    """Key -> shape and dtype of a voice's checkpoint."""
    keys: dict[str, dict[str, object]] = GOLDEN.json(_KEYS[size])
    return keys


# Cached across tests, some of which run without autograd: the weights must not notice.
@lru_cache(maxsize=2)
@torch.inference_mode(False)
def golden_voice(size: str, salt: str) -> Synthesizer:
    """A voice in eval mode; shared between tests, so leave its weights alone."""
    voice = Synthesizer(voice_config(size), has_posterior=True)
    voice.load_state_dict(from_upstream(Filler(salt).state(generator_keys(size))))
    return voice.eval()


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def golden_discriminators(salt: str) -> Discriminators:
    discriminators = Discriminators()
    state = Filler(salt).state(GOLDEN.json("keys_s2_d.json"))
    discriminators.load_state_dict(from_upstream(state))
    return discriminators.eval()


def voice_for(file_name: str, size: str) -> Synthesizer:
    """The voice whose weights go with one golden file."""
    return golden_voice(size, filler_for(file_name).salt)


def shape_of(noise_key: str) -> tuple[int, ...]:
    """The shape that ends a noise key, e.g. ``1x192x36``."""
    return tuple(int(size) for size in noise_key.rsplit("/", 1)[1].split("x"))


def reference_specs(file_name: str, size: str) -> list[Tensor]:
    """The two reference clips of the decoding cases, (bin, frame) each."""
    filler = filler_for(file_name)
    clips = [
        filler.waveform(f"s2/{size}/ref{clip}", 64_000 + 4_000 * clip, 32_000) for clip in (0, 1)
    ]
    config = voice_config(size)
    return [reference_spectrogram(torch.from_numpy(clip), 32_000, config) for clip in clips]


def assert_near(actual: Tensor, expected: object, tolerance: float = 1e-4) -> None:
    """Equal shapes, and no element further apart than ``tolerance``."""
    expected_tensor = torch.as_tensor(expected)
    assert actual.shape == expected_tensor.shape
    worst = (actual - expected_tensor).abs().max().item()
    assert worst <= tolerance, f"largest difference {worst:.2e} exceeds {tolerance:.0e}"
