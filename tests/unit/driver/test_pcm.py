import io

import numpy as np
import soundfile

from deployments.driver.pcm import encode_pcm16, wav_header


def test_a_wav_file_holds_the_samples_it_was_given() -> None:
    waveform = np.linspace(-1, 1, 240, dtype=np.float32)
    samples, rate = soundfile.read(
        io.BytesIO(wav_header(24000, 240) + encode_pcm16(waveform)), dtype="float32"
    )
    assert rate == 24000
    np.testing.assert_allclose(samples, waveform, atol=1 / 16384)


def test_a_streamed_wav_file_of_unknown_length_can_be_read() -> None:
    waveform = np.zeros(480, dtype=np.float32)
    samples, rate = soundfile.read(io.BytesIO(wav_header(24000) + encode_pcm16(waveform)))
    assert (rate, len(samples)) == (24000, 480)


def test_samples_out_of_range_are_clipped_not_wrapped() -> None:
    loud = np.array([-3.0, 3.0], dtype=np.float32)
    assert np.frombuffer(encode_pcm16(loud), dtype="<i2").tolist() == [-32767, 32767]
