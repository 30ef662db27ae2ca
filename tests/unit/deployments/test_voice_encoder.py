"""Real clips through the real checks and Whisper, into a small voice with random weights."""

from __future__ import annotations

import asyncio
import io
import pickle
import threading
from collections.abc import Awaitable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch

from deployments.driver.catalog import Catalog
from deployments.driver.voice_publishing import Registration, VoiceRegistration
from deployments.errors import (
    InvalidInput,
    NotReady,
    Overloaded,
    SpeechError,
    TextTooLong,
    TranscriptMismatch,
    UnreadableAudio,
    UnspeakableText,
    UnsupportedLanguage,
    UnusableClip,
)
from deployments.voice_encoder import (
    CallerLeft,
    ClipEncoder,
    ClipRequest,
    EncodedClip,
    VoiceEncoderArgs,
    VoiceEncoderServer,
)
from models.assets import WHISPER, ensure
from models.audio.clip import prompt_phoneme_ids
from models.audio.load import Audio, load_audio
from models.checkpoints import load_s1, load_s2
from models.gpt_sovits.pipeline import SpeechRequest, encode_reference, speak
from models.gpt_sovits.published import features_from_bytes
from models.gpt_sovits.s1.decoder import S1Decoder
from models.recognition import count_errors
from models.speaker import ensure_speaker_encoder
from models.ssl.whisper import WhisperEncoder
from models.storage import AwsAccess, FolderStore, embedded_store
from models.text.frontend import analyze
from tests.gpt_sovits_store import publish_checkpoint
from tests.kokoro_clips import LINE, OTHER_LINE, spoken

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FolderStore:
    store = FolderStore(tmp_path_factory.mktemp("storage"))
    publish_checkpoint(store, "small")
    return store


@pytest.fixture(scope="module")
def server(store: FolderStore) -> VoiceEncoderServer:
    return server_of(store.root, checkpoint="small@1")


def server_of(root: Path, **args: Any) -> VoiceEncoderServer:
    ensure(WHISPER)
    ensure_speaker_encoder()
    return VoiceEncoderServer(
        storage_root=str(root), access=AwsAccess(), **VoiceEncoderArgs(**args).model_dump()
    )


def uploaded(audio: Audio, file_format: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, audio.waveform.numpy(), audio.sample_rate, format=file_format)
    return buffer.getvalue()


def request(voice_id: str = "bujang", text: str = LINE, **others: Any) -> ClipRequest:
    settings: dict[str, Any] = {"language": "ko", "transcript": text, **others}
    return ClipRequest(uploaded(spoken(voice_id, text)), **settings)


async def refusal(
    server: VoiceEncoderServer, refused: ClipRequest, kind: type[SpeechError]
) -> SpeechError:
    with pytest.raises(kind) as error:
        await server.encode(refused)
    copy: SpeechError = pickle.loads(pickle.dumps(error.value))  # as it crosses a handle
    return copy


async def test_a_clip_becomes_features_that_follow_from_what_is_stored(
    server: VoiceEncoderServer, store: FolderStore
) -> None:
    encoded = await server.encode(request())

    assert (encoded.checkpoint, encoded.licence) == ("small@1", "Apache-2.0")
    assert encoded.transcript == LINE
    assert encoded.report.speech_s > 3
    clip = load_audio(encoded.clip)
    assert clip.duration_s == pytest.approx(encoded.report.duration_s, abs=1e-3)
    phoneme_ids = torch.tensor(prompt_phoneme_ids(LINE, "ko"))
    synthesizer = load_s2(store.path("checkpoints/small/1/s2.json"))
    expected = encode_reference(synthesizer, WhisperEncoder.load(), [clip], phoneme_ids)
    features = features_from_bytes(encoded.features)
    torch.testing.assert_close(features.speaker, expected.speaker)
    assert torch.equal(features.prompt_phoneme_ids, phoneme_ids)
    assert torch.equal(features.prompt_tokens, expected.prompt_tokens)
    assert len(features.prompt_tokens) == pytest.approx(25 * clip.duration_s, abs=1)


async def test_a_transcript_is_recognised_when_none_is_given(server: VoiceEncoderServer) -> None:
    encoded = await server.encode(request(transcript=None))
    assert encoded.transcript == encoded.heard
    edits, length = count_errors(LINE, encoded.heard)
    assert edits / length < 0.3


async def test_another_transcript_is_refused_with_both_texts(server: VoiceEncoderServer) -> None:
    error = await refusal(server, request(transcript=OTHER_LINE), TranscriptMismatch)
    assert OTHER_LINE in error.detail
    assert error.extensions["given"] == OTHER_LINE
    assert error.extensions["heard"] in error.detail


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"audio": b"<html>"}, UnreadableAudio, "not a known audio file"),
        ({"audio": bytes(21 * 2**20)}, UnreadableAudio, "at most 20971520"),
        ({"transcript": ""}, UnspeakableText, "empty"),
        ({"transcript": "가" * 301}, TextTooLong, "301 characters"),
        ({"language": "zh"}, UnsupportedLanguage, "allowed: ko, en"),
        ({"language": "auto"}, UnsupportedLanguage, "allowed: ko, en"),
        ({"checkpoint": "small@9"}, NotReady, "small@9 is not stored"),
        ({"checkpoint": "../small@1"}, NotReady, "not of the form id@version"),
    ],
)
async def test_what_can_not_be_encoded_is_told_with_its_reason(
    server: VoiceEncoderServer, changes: dict[str, Any], kind: type[SpeechError], message: str
) -> None:
    settings = {"audio": uploaded(spoken("bujang")), "language": "ko", "transcript": LINE}
    error = await refusal(server, ClipRequest(**{**settings, **changes}), kind)
    assert message in error.detail


async def test_a_clip_that_fails_a_check_is_refused_with_what_was_measured(
    server: VoiceEncoderServer,
) -> None:
    short = Audio(spoken("bujang").waveform[:30_000], 24_000)
    error = await refusal(server, ClipRequest(uploaded(short), "ko"), UnusableClip)
    assert isinstance(error, InvalidInput)
    assert (error.extensions["reason"], error.extensions["limit"]) == ("too-little-speech", 3.0)
    assert 0.5 < error.extensions["measured"] < 1.5


async def test_without_a_checkpoint_no_voice_can_be_registered(store: FolderStore) -> None:
    error = await refusal(server_of(store.root), request(), NotReady)
    assert "no checkpoint is configured" in error.detail


@dataclass
class HeldEncoder:
    """Works until it is released; counts what it began."""

    released: threading.Event
    num_begun: int = 0

    def encode(
        self, request: ClipRequest, checkpoint: str, has_left: threading.Event
    ) -> EncodedClip:
        self.num_begun += 1
        self.released.wait(30)
        raise UnreadableAudio("released")


@pytest.fixture
def held(store: FolderStore) -> Iterator[tuple[VoiceEncoderServer, HeldEncoder]]:
    server = server_of(store.root, checkpoint="small@1", max_waiting=1)
    encoder = HeldEncoder(threading.Event())
    server._encoder = encoder  # type: ignore[assignment]
    yield server, encoder
    encoder.released.set()


async def test_clips_beyond_the_bound_are_refused_while_the_server_answers(
    held: tuple[VoiceEncoderServer, HeldEncoder],
) -> None:
    server, encoder = held
    tasks = [asyncio.create_task(server.encode(request())) for _ in range(2)]
    await asyncio.sleep(0)
    error = await refusal(server, request(), Overloaded)
    assert error.extensions == {"retry_after_s": 5}
    stats = await server.stats()
    assert (await server.ready(), stats.active, stats.waiting) == (True, 1, 1)
    encoder.released.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [UnreadableAudio] * 2


async def test_a_call_that_is_cancelled_while_it_waits_is_never_begun(
    held: tuple[VoiceEncoderServer, HeldEncoder],
) -> None:
    server, encoder = held
    first, waiting = (asyncio.create_task(server.encode(request())) for _ in range(2))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await server.stats()).waiting == 0
    encoder.released.set()
    with pytest.raises(UnreadableAudio):
        await first
    assert encoder.num_begun == 1


def test_work_ends_at_its_next_step_once_its_caller_has_left(store: FolderStore) -> None:
    has_left = threading.Event()
    has_left.set()
    encoder = ClipEncoder([store], hubert_folder=None, num_threads=1)
    with pytest.raises(CallerLeft):
        encoder.encode(request(), "small@1", has_left)


@dataclass
class Response:
    """What a handle's call returns: an awaitable that can be cancelled."""

    result: Awaitable[EncodedClip]

    def __await__(self) -> Generator[Any, None, EncodedClip]:
        return self.result.__await__()

    def cancel(self) -> None:
        pass


class Handle:
    """A handle whose deployment is in this process."""

    def __init__(self, server: VoiceEncoderServer) -> None:
        self._server = server

    @property
    def encode(self) -> Handle:
        return self

    def remote(self, request: ClipRequest) -> Response:
        return Response(self._server.encode(request))


async def test_a_registered_voice_speaks_and_takes_only_its_own_clips(
    server: VoiceEncoderServer, store: FolderStore
) -> None:
    registration = VoiceRegistration(Handle(server), store, embedded_store())  # type: ignore[arg-type]
    flac = uploaded(spoken("bujang"), "FLAC")
    await registration.register(Registration(flac, consent=True, speaker_id="mina"), owner=None)
    stranger = Registration(uploaded(spoken("sinip")), consent=True, speaker_id="mina")
    with pytest.raises(UnusableClip, match="similarity of"):
        await registration.register(stranger, owner=None)
    happy = Registration(
        uploaded(spoken("bujang", OTHER_LINE), "MP3"),
        consent=True,
        speaker_id="mina",
        emotions={"happiness": 1.0},
    )
    registered = await registration.register(happy, owner=None)

    voice = Catalog([store]).voice("mina")
    assert (str(voice.record), voice.emotions) == ("mina@2", ("neutral", "happiness"))
    reference = registered.voice.references[1]
    features = features_from_bytes(store.read(f"voices/mina/2/{reference.features}"))
    folder = store.path("checkpoints/small/1")
    (segment,) = analyze("안녕하세요.", "ko")
    spoken_line = SpeechRequest(
        torch.tensor(segment.phoneme_ids), features, seed=1, max_new_tokens=20
    )
    waveforms = speak(
        S1Decoder(load_s1(folder / "s1.json")), load_s2(folder / "s2.json"), spoken_line
    )
    assert float(torch.cat(list(waveforms)).abs().max()) > 0
