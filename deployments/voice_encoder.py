"""VoiceEncoder: a reference clip in, the features of a voice out; or why it can't become one."""

from __future__ import annotations

import asyncio
import ctypes
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TypeVar

import soundfile
import torch
from pydantic import Field
from ray import serve

from deployments import errors
from deployments.args import StrictArgs
from deployments.engine.speech.checkpoint_files import CheckpointFiles, CheckpointUnusable
from deployments.engine.speech.zonos_files import ZonosFiles
from deployments.messages import StageStats
from deployments.text_frontend import to_speech_error
from models.assets import WHISPER, AssetError, require
from models.audio.clip import (
    ClipChecker,
    ClipReport,
    TranscriptMismatch,
    UnusableClip,
    check_transcript,
    prompt_phoneme_ids,
)
from models.audio.decode import decode_audio
from models.audio.load import Audio, AudioError, load_audio
from models.gpt_sovits.pipeline import encode_reference
from models.gpt_sovits.published import (
    PublishedCheckpoint,
    PublishedError,
    SslName,
    checkpoint_from_json,
    features_to_bytes,
)
from models.gpt_sovits.s2.synthesizer import Synthesizer
from models.recognition import Recognizer
from models.speaker import SpeakerEncoder, require_speaker_encoder
from models.ssl.encoder import SslEncoder
from models.ssl.hubert import HubertEncoder
from models.ssl.whisper import WhisperEncoder
from models.storage import (
    AwsAccess,
    ObjectStore,
    StorageError,
    StorageUnavailable,
    VersionedRecords,
    embedded_store,
    open_store,
)
from models.text.errors import TextError
from models.text.languages import SUPPORTED_LANGUAGES
from models.zonos.published import speaker_to_bytes

Result = TypeVar("Result")

LANGUAGES = tuple(language for language in SUPPORTED_LANGUAGES if language != "auto")
"""A clip is in one language, which the recogniser is told."""

_MAX_CHECKPOINTS = 2
_RETRY_AFTER_S = 5


class VoiceEncoderArgs(StrictArgs):
    """Settings of the stage that registers voices."""

    checkpoint: str | None = Field(
        default=None,
        description="GPT-SoVITS weights of new voices, `id@version`; without them no voice can be "
        "registered.",
    )
    zonos_checkpoint: str | None = Field(
        default=None,
        description="Zonos weights of new voices of that engine, `id@version`; without them none "
        "can be registered.",
    )
    hubert_folder: str | None = Field(
        default=None,
        description="Absolute folder of chinese-hubert-base, for checkpoints that use it.",
    )
    num_threads: int = Field(default=1, ge=1, description="Threads of one replica.")
    max_waiting: int = Field(default=4, ge=0, description="Clips that may wait for the models.")


@dataclass(frozen=True)
class ClipRequest:
    """A clip to check and encode.

    Args:
        audio: the file as it was uploaded.
        language: of the speech, one of `LANGUAGES`.
        transcript: what is said; recognised when None.
        checkpoint: weights of the voice it is added to, `id@version`; None means those of new
            voices.
        same_speaker_as: a clip of the voice it is added to.
    """

    audio: bytes
    language: str
    transcript: str | None = None
    checkpoint: str | None = None
    same_speaker_as: bytes | None = None


@dataclass(frozen=True)
class EncodedClip:
    """What is stored of a clip.

    Args:
        checkpoint: weights the features belong to, `id@version`.
        licence: of those weights.
        clip: FLAC, without the silence around the speech.
        features: of that clip, as `models.gpt_sovits.published` stores them.
        transcript: the given one, else `heard`.
        heard: what was recognised.
        report: what was measured.
    """

    checkpoint: str
    licence: str
    clip: bytes
    features: bytes
    transcript: str
    heard: str
    report: ClipReport


@dataclass(frozen=True)
class SpeakerRequest:
    """A clip of which Zonos is to know the speaker; `audio` is the file as it was uploaded."""

    audio: bytes


@dataclass(frozen=True)
class EncodedSpeaker:
    """What is stored of a clip for Zonos.

    Args:
        checkpoint: weights the speaker belongs to, `id@version`.
        licence: of those weights.
        clip: FLAC, without the silence around the speech.
        speaker: its 128 numbers, as `models.zonos.published` stores them.
        report: what was measured.
    """

    checkpoint: str
    licence: str
    clip: bytes
    speaker: bytes
    report: ClipReport


class VoiceEncoderServer:
    """One clip at a time, off the event loop; a call that is cancelled ends at its next step.

    Whisper takes 0.5 GB as a recogniser and as much as an encoder, and most services register no
    voice on most days: each is loaded for a clip, which costs a second or two, and let go. That the
    files are there is checked at the start.

    Args:
        storage_root: absolute folder or address of the published checkpoints.
        access: of a storage root that is not a folder.
        others: see `VoiceEncoderArgs`.
    """

    def __init__(
        self,
        storage_root: str,
        access: AwsAccess,
        checkpoint: str | None,
        zonos_checkpoint: str | None,
        hubert_folder: str | None,
        num_threads: int,
        max_waiting: int,
    ) -> None:
        torch.set_num_threads(num_threads)
        require(WHISPER)
        require_speaker_encoder()
        self._checkpoint = checkpoint
        self._zonos_checkpoint = zonos_checkpoint
        self._max_waiting = max_waiting
        layers = [open_store(storage_root, access), embedded_store()]
        self._encoder = ClipEncoder(layers, hubert_folder, num_threads)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="voice-encoder")
        self._num_clips = 0
        self._lock = threading.Lock()

    async def ready(self) -> bool:
        """True: what it needs was found when it started."""
        return True

    async def stats(self) -> StageStats:
        """Clips in work and waiting; they owe no audio."""
        active = min(1, self._num_clips)
        return StageStats(active, self._num_clips - active, queued_audio_s=0.0)

    async def encode(self, request: ClipRequest) -> EncodedClip:
        """Check a clip and make it a reference.

        Raises:
            InvalidInput: the audio, the clip, the transcript or the language can't be used; the
                subclass and its extensions say why.
            NotReady: no checkpoint is configured, or it is not stored.
            Overloaded: too many clips wait.
        """
        checkpoint = request.checkpoint or self._checkpoint
        if checkpoint is None:
            raise errors.NotReady("no checkpoint is configured to register voices with")
        return await self._done(partial(self._encoder.encode, request, checkpoint))

    async def encode_speaker(self, request: SpeakerRequest) -> EncodedSpeaker:
        """Check a clip and make it a speaker of Zonos; raises as `encode` does."""
        checkpoint = self._zonos_checkpoint
        if checkpoint is None:
            raise errors.NotReady("no checkpoint is configured to register voices of zonos with")
        return await self._done(partial(self._encoder.encode_speaker, request, checkpoint))

    async def _done(self, work: Callable[[threading.Event], Result]) -> Result:
        """The result of work on a clip, which takes its turn; the event is set when its caller has
        left."""
        if self._num_clips > self._max_waiting:
            raise errors.Overloaded(
                f"{self._max_waiting} clips wait already", {"retry_after_s": _RETRY_AFTER_S}
            )
        has_left = threading.Event()
        self._count(1)
        begun = self._worker.submit(_run, work, has_left)
        begun.add_done_callback(lambda _: self._count(-1))
        try:
            with _told_to_callers():
                return await asyncio.wrap_future(begun)
        finally:
            has_left.set()

    def _count(self, change: int) -> None:
        with self._lock:
            self._num_clips += change


class ClipEncoder:
    """The work itself, which blocks for seconds. For one thread.

    Args:
        layers: stores of checkpoints, the first found wins.
        hubert_folder: see `VoiceEncoderArgs`.
        num_threads: of the recogniser and the SSL encoder.
    """

    def __init__(
        self, layers: Sequence[ObjectStore], hubert_folder: str | None, num_threads: int
    ) -> None:
        self._files = CheckpointFiles(layers)
        self._zonos_files = ZonosFiles(layers)
        self._checkpoints = VersionedRecords(layers, "checkpoints", "{version}/checkpoint.json")
        self._hubert_folder = hubert_folder
        self._num_threads = num_threads
        self._weights = lru_cache(_MAX_CHECKPOINTS)(self._load)

    def encode(
        self, request: ClipRequest, checkpoint: str, has_left: threading.Event
    ) -> EncodedClip:
        """See `VoiceEncoderServer.encode`; `has_left` is set when nobody waits any more."""
        if request.language not in LANGUAGES:
            raise errors.UnsupportedLanguage(
                f"clips in {request.language[:40]!r} can't be registered; "
                f"allowed: {', '.join(LANGUAGES)}",
                {"supported": list(LANGUAGES)},
            )
        _go_on(has_left)
        published, synthesizer = self._weights(checkpoint)
        clip = self._checker.check(decode_audio(request.audio))
        if request.same_speaker_as is not None:
            self._checker.check_same_speaker(clip, load_audio(request.same_speaker_as))
        _go_on(has_left)
        heard = Recognizer(self._num_threads).transcribe(
            clip.audio.waveform.numpy(), clip.audio.sample_rate, request.language
        )
        transcript = _transcript(request, heard)
        phoneme_ids = torch.tensor(prompt_phoneme_ids(transcript, request.language))
        _go_on(has_left)
        flac = _flac(clip.audio)
        # Of what is stored, so that the features can be made again from the clip.
        features = encode_reference(
            synthesizer, self._ssl_encoder(published.ssl), [load_audio(flac)], phoneme_ids
        )
        return EncodedClip(
            checkpoint=checkpoint,
            licence=published.licence,
            clip=flac,
            features=features_to_bytes(features),
            transcript=transcript,
            heard=heard,
            report=clip.report,
        )

    def encode_speaker(
        self, request: SpeakerRequest, checkpoint: str, has_left: threading.Event
    ) -> EncodedSpeaker:
        """See `VoiceEncoderServer.encode_speaker`; the network is loaded for the clip, 0.4 GB."""
        licence = self._zonos_files.licence(checkpoint)
        clip = self._checker.check(decode_audio(request.audio))
        _go_on(has_left)
        network = self._zonos_files.speaker(checkpoint)
        _go_on(has_left)
        flac = _flac(clip.audio)
        stored = load_audio(flac)
        return EncodedSpeaker(
            checkpoint=checkpoint,
            licence=licence,
            clip=flac,
            speaker=speaker_to_bytes(network.embed(stored.waveform, stored.sample_rate)),
            report=clip.report,
        )

    @cached_property
    def _checker(self) -> ClipChecker:
        return ClipChecker(SpeakerEncoder(require_speaker_encoder()))

    def _load(self, checkpoint: str) -> tuple[PublishedCheckpoint, Synthesizer]:
        synthesizer = self._files.synthesizer(checkpoint)
        record = self._checkpoints.resolve(checkpoint)
        return checkpoint_from_json(self._checkpoints.read_bytes(record)), synthesizer

    def _ssl_encoder(self, ssl: SslName) -> SslEncoder:
        if ssl == "whisper-base":
            return WhisperEncoder.load(self._num_threads)
        if self._hubert_folder is None:
            raise errors.NotReady(f"the checkpoint needs {ssl}; hubert_folder is not configured")
        return HubertEncoder.load(Path(self._hubert_folder))


def _run(work: Callable[[threading.Event], Result], has_left: threading.Event) -> Result:
    try:
        return work(has_left)
    finally:
        _return_free_memory()


class CallerLeft(Exception):
    """Nobody waits for the result."""


def _go_on(has_left: threading.Event) -> None:
    if has_left.is_set():
        raise CallerLeft


def _transcript(request: ClipRequest, heard: str) -> str:
    if request.transcript is not None:
        check_transcript(request.transcript, heard, request.language)
        return request.transcript.strip()
    if not any(char.isalpha() for char in heard):
        raise errors.TranscriptMismatch(
            "no words were recognised in the clip; give its transcript, or check its language",
            {"heard": heard},
        )
    return heard


def _flac(audio: Audio) -> bytes:
    buffer = io.BytesIO()
    samples = audio.waveform.clamp(-1, 1).numpy()
    soundfile.write(buffer, samples, audio.sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _return_free_memory() -> None:
    """Give the system back what Whisper took: glibc would keep 0.5 GB of it for the next clip."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # only glibc has it
        libc.malloc_trim(0)


@contextmanager
def _told_to_callers() -> Iterator[None]:
    """Turn what the models and the store raise into the errors that callers are told."""
    try:
        yield
    except UnusableClip as error:
        measured = {"reason": error.reason, "measured": error.measured, "limit": error.limit}
        raise errors.UnusableClip(str(error), measured) from error
    except TranscriptMismatch as error:
        texts = {"given": error.given, "heard": error.heard}
        raise errors.TranscriptMismatch(str(error), texts) from error
    except AudioError as error:
        raise errors.UnreadableAudio(str(error)) from error
    except TextError as error:
        raise to_speech_error(error) from error
    except StorageUnavailable:
        raise
    except (CheckpointUnusable, PublishedError, StorageError, AssetError) as error:
        raise errors.NotReady(f"voices can't be registered now: {error}") from error


voice_encoder_deployment = serve.deployment(
    name="VoiceEncoder", ray_actor_options={"num_cpus": 0.1}
)(VoiceEncoderServer)
