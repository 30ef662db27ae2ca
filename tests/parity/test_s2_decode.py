"""S2 decoding against the reference implementation, stage by stage and as a whole."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.gpt_sovits.s2.decoding import decode, encode_prior, stream_exact
from models.gpt_sovits.s2.prior_encoder import Prior
from models.gpt_sovits.s2.segment import Segment
from models.gpt_sovits.s2.synthesizer import Synthesizer
from tests.parity.fill import filler_for
from tests.parity.s2_voice import (
    GOLDEN,
    SIZES,
    assert_near,
    reference_specs,
    shape_of,
    voice_for,
)


@dataclass(frozen=True)
class DecodeCase:
    """A golden decoding and the voice that has to reproduce it."""

    file_name: str
    golden: dict[str, np.ndarray]
    voice: Synthesizer
    ref_specs: list[Tensor]

    def segment(self, num_references: int = 1, speed: float = 1.0) -> Segment:
        return Segment(
            semantic_tokens=torch.from_numpy(self.golden["codes"])[0, 0],
            phoneme_ids=torch.from_numpy(self.golden["phones"])[0],
            speaker=self.voice.speaker_embedding(self.ref_specs[:num_references]),
            seed=0,
            speed=speed,
        )

    def noiseless_wave(self, num_references: int = 1, speed: float = 1.0) -> Tensor:
        segment = self.segment(num_references, speed)
        prior = encode_prior(self.voice, [segment])
        return self.voice.synthesize(prior.mean, prior.lens, segment.speaker[None, :, None])[0]

    def assert_wave_matches(self, wave: Tensor, name: str) -> None:
        """Compare with a stored wave, or with its stored stretch and what else is stored of it."""
        expected = self.golden[name].reshape(-1)
        assert_near(wave if len(wave) == len(expected) else wave[4000:9000], expected)
        if f"{name}_len" in self.golden:
            assert len(wave) == int(self.golden[f"{name}_len"])
            assert wave.square().mean().sqrt().item() == pytest.approx(
                float(self.golden[f"{name}_rms"]), abs=1e-4
            )


@pytest.fixture(scope="module", params=SIZES)
def case(request: pytest.FixtureRequest) -> Iterator[DecodeCase]:
    size = request.param
    file_name = f"s2_{size}_decode.npz"
    with torch.inference_mode():
        yield DecodeCase(
            file_name,
            GOLDEN.arrays(file_name),
            voice_for(file_name, size),
            reference_specs(file_name, size),
        )


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def recorded_outputs(root: nn.Module, names: dict[str, str], run: object) -> dict[str, Tensor]:
    """Outputs of submodules, by golden name, while ``run`` is called."""
    outputs: dict[str, Tensor] = {}

    def keep(golden_name: str) -> object:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            outputs[golden_name] = output.detach().clone()

        return hook

    handles = [
        root.get_submodule(path).register_forward_hook(keep(golden_name))  # type: ignore[arg-type]
        for golden_name, path in names.items()
    ]
    try:
        run()  # type: ignore[operator]
    finally:
        for handle in handles:
            handle.remove()
    return outputs


def test_reference_spectrogram_equals_the_reference_path(case: DecodeCase) -> None:
    assert_near(case.ref_specs[0][::25, ::7], case.golden["ref_specs0_slice"][0])


def test_speaker_embedding_equals_the_reference(case: DecodeCase) -> None:
    embedding = case.voice.speaker_embedding(case.ref_specs[:1])
    assert_near(embedding, case.golden["ref_enc"][0, :, 0])


def test_every_stage_of_the_prior_encoder_equals_the_reference(case: DecodeCase) -> None:
    stages = {
        "enc_p_ssl_proj": "content_in",
        "encoder_ssl": "content_encoder",
        "encoder_text": "text_encoder",
        "mrte": "mrte",
        "encoder2": "joint_encoder",
    }
    outputs = recorded_outputs(
        case.voice.prior_encoder, stages, lambda: encode_prior(case.voice, [case.segment()])
    )
    assert outputs.keys() == stages.keys()
    for name, output in outputs.items():
        assert_near(output, case.golden[name])


def test_prior_and_latent_equal_the_reference(case: DecodeCase) -> None:
    segment = case.segment()
    prior = encode_prior(case.voice, [segment])
    assert_near(prior.mean, case.golden["m_p"])
    assert_near(prior.log_std, case.golden["logs_p"])
    z = case.voice.flow.inverse(prior.mean, prior.mask, segment.speaker[None, :, None])
    assert_near(z, case.golden["z"])


def test_every_upsampling_stage_has_the_reference_level(case: DecodeCase) -> None:
    stages = {
        f"dec_up{stage}_rms": f"upsamples.{stage}"
        for stage in range(len(case.voice.config.upsample_rates))
    }
    outputs = recorded_outputs(case.voice.generator, stages, case.noiseless_wave)
    for name, output in outputs.items():
        rms = output.square().mean().sqrt().item()
        assert rms == pytest.approx(float(case.golden[name]), abs=1e-4)


def test_waveform_equals_the_reference(case: DecodeCase) -> None:
    case.assert_wave_matches(case.noiseless_wave(), "wav")


def test_exact_chunks_joined_equal_the_reference(case: DecodeCase) -> None:
    segment = replace(case.segment(), noise_scale=0.0)
    a_third = -(-2 * len(segment.semantic_tokens) // 3)
    chunks = list(stream_exact(case.voice, segment, first_frames=1, next_frames=a_third))
    assert len(chunks) > 1
    case.assert_wave_matches(torch.cat(chunks), "wav")


def test_exact_chunks_of_a_longer_segment_equal_the_whole(case: DecodeCase) -> None:
    # Longer than a chunk with its context, so that not every chunk sees the whole segment.
    num_tokens = 50
    config = case.voice.config
    segment = replace(
        case.segment(), semantic_tokens=torch.arange(num_tokens) * 7 % config.codebook_size
    )
    (whole,) = decode(case.voice, [segment])
    chunks = stream_exact(case.voice, segment, first_frames=20, next_frames=60)
    assert_near(torch.cat(list(chunks)), whole)


def test_a_voice_prepared_for_inference_equals_the_reference(case: DecodeCase) -> None:
    with torch.inference_mode(False):
        prepared = copy.deepcopy(case.voice).prepare_for_inference()
    (wave,) = decode(prepared, [replace(case.segment(), noise_scale=0.0)])
    case.assert_wave_matches(wave, "wav")


def test_waveform_with_given_noise_equals_the_reference(case: DecodeCase) -> None:
    (noise_key,) = case.golden["noise_keys"].tolist()
    noise = torch.from_numpy(filler_for(case.file_name).normalish(noise_key, shape_of(noise_key)))
    segment = case.segment()
    prior: Prior = encode_prior(case.voice, [segment])
    z_prior = prior.mean + noise * torch.exp(prior.log_std) * segment.noise_scale
    wave = case.voice.synthesize(z_prior, prior.lens, segment.speaker[None, :, None])[0]
    case.assert_wave_matches(wave, "wav_noise05")


def test_two_references_are_averaged(case: DecodeCase) -> None:
    case.assert_wave_matches(case.noiseless_wave(num_references=2), "wav_two_refs")


@pytest.mark.parametrize(("speed", "name"), [(1.25, "wav_speed125"), (0.8, "wav_speed080")])
def test_change_of_speed_equals_the_reference(case: DecodeCase, speed: float, name: str) -> None:
    case.assert_wave_matches(case.noiseless_wave(speed=speed), name)
