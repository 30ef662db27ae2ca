"""Everything that can go wrong with a request, as one tree.

    SpeechError
    ├── InvalidInput              400  the request's content can't be processed
    │   ├── UnspeakableText            nothing in the text can be read aloud
    │   ├── TextTooLong
    │   ├── UnsupportedLanguage
    │   ├── UnsupportedFormat
    │   ├── UnsupportedEmotion
    │   ├── UnsupportedEngine          no voice of this engine can be registered
    │   ├── ConsentMissing             nobody said that the speaker agreed
    │   ├── UnreadableAudio            the upload is no audio, or over a bound
    │   ├── UnusableClip               it can't become a voice; `reason` says why
    │   └── TranscriptMismatch         it says something else
    ├── Unauthorized              401  no API key, or one that is not known
    ├── ReadOnlyRecord            403  what ships with the project, or another key's, stays
    ├── NotFound                  404
    │   ├── UnknownVoice
    │   ├── UnknownCharacter
    │   ├── UnknownModel
    │   └── UnknownJob
    ├── RequestTimeout            408  the body did not arrive in time
    ├── VoiceExists               409  the id belongs to somebody else's voice
    ├── JobNotFinished            409  what was asked for does not exist yet
    ├── JobFinished               409  it is too late to cancel
    ├── PayloadTooLarge           413
    ├── UnsupportedMediaType      415
    ├── UnsatisfiableRange        416
    ├── IdempotencyConflict       422  the key stands for another request
    ├── Overloaded                429  come back after `retry_after_s`
    │   ├── RateLimited                the caller alone asks too often
    │   └── TooManyJobs                too many jobs of the caller's have not ended
    ├── GenerationFailed          500  a stage gave no usable result
    ├── DamagedRecord             500  a stored voice, persona, character or job can't be read
    ├── JobAbandoned              500  whoever ran the job died, again and again
    ├── ExternalModelRefused      502  the external language model did not accept the request
    ├── NotReady                  503  a stage is not up, or was lost beyond repair
    └── DeadlineExceeded          504

The class carries what a renderer needs (status, slug, title); the instance carries what happened.
Constructors are positional: keyword-only arguments do not survive pickling between replicas.
"""

from __future__ import annotations

from typing import Any


class SpeechError(Exception):
    """Base of all errors that a caller may see.

    Args:
        detail: what was wrong, with which value, and what is allowed. Shown to the caller.
        extensions: further members of the problem document, such as `limit`.
    """

    status = 500
    slug = "internal-error"
    title = "Internal error"

    def __init__(self, detail: str, extensions: dict[str, Any] | None = None) -> None:
        super().__init__(detail, extensions)
        self.detail = detail
        self.extensions = extensions or {}

    def __str__(self) -> str:
        return self.detail


class InvalidInput(SpeechError):
    status = 400
    slug = "invalid-input"
    title = "The request can't be processed"


class UnspeakableText(InvalidInput):
    slug = "unspeakable-text"
    title = "Nothing in the text can be spoken"


class TextTooLong(InvalidInput):
    slug = "text-too-long"
    title = "The text is too long"


class UnsupportedLanguage(InvalidInput):
    slug = "unsupported-language"
    title = "The language is not supported"


class UnsupportedFormat(InvalidInput):
    slug = "unsupported-format"
    title = "The audio format is not supported"


class UnsupportedEmotion(InvalidInput):
    slug = "unsupported-emotion"
    title = "The voice does not have this emotion"


class Unauthorized(SpeechError):
    status = 401
    slug = "unauthorized"
    title = "A valid API key is needed"


class ReadOnlyRecord(SpeechError):
    status = 403
    slug = "read-only-record"
    title = "This record can't be changed"


class UnsupportedEngine(InvalidInput):
    """Raised with `{"supported": [...]}` in the extensions."""

    slug = "unsupported-engine"
    title = "Voices of this engine can't be registered"


class ConsentMissing(InvalidInput):
    slug = "consent-missing"
    title = "The speaker's consent is not declared"


class UnreadableAudio(InvalidInput):
    slug = "unreadable-audio"
    title = "The audio file can't be read"


class UnusableClip(InvalidInput):
    """Raised with `reason`, `measured` and `limit` in the extensions."""

    slug = "unusable-clip"
    title = "The clip can't become a voice"


class TranscriptMismatch(InvalidInput):
    """Raised with `given` and `heard` in the extensions."""

    slug = "transcript-mismatch"
    title = "The clip says something else"


class NotFound(SpeechError):
    status = 404
    slug = "not-found"
    title = "Not found"


class UnknownVoice(NotFound):
    slug = "unknown-voice"
    title = "There is no such voice"


class UnknownCharacter(NotFound):
    slug = "unknown-character"
    title = "There is no such character"


class UnknownModel(NotFound):
    slug = "unknown-model"
    title = "There is no such model"


class UnknownJob(NotFound):
    slug = "unknown-job"
    title = "There is no such job"


class RequestTimeout(SpeechError):
    status = 408
    slug = "request-timeout"
    title = "The request did not arrive in time"


class VoiceExists(SpeechError):
    status = 409
    slug = "voice-exists"
    title = "A voice of this name exists already"


class JobNotFinished(SpeechError):
    status = 409
    slug = "job-not-finished"
    title = "The job has no result yet"


class JobFinished(SpeechError):
    status = 409
    slug = "job-finished"
    title = "The job has ended already"


class PayloadTooLarge(SpeechError):
    status = 413
    slug = "payload-too-large"
    title = "The request body is too large"


class UnsupportedMediaType(SpeechError):
    status = 415
    slug = "unsupported-media-type"
    title = "The request body has another type than this route takes"


class UnsatisfiableRange(SpeechError):
    """Raised with `{"size_bytes": n}` in the extensions."""

    status = 416
    slug = "unsatisfiable-range"
    title = "The range lies outside of the recording"


class IdempotencyConflict(SpeechError):
    status = 422
    slug = "idempotency-conflict"
    title = "The idempotency key was used for another request"


class Overloaded(SpeechError):
    """Raised with `{"retry_after_s": n}` in the extensions."""

    status = 429
    slug = "overloaded"
    title = "Too many requests at once"


class RateLimited(Overloaded):
    slug = "rate-limited"
    title = "This API key asks too often"


class TooManyJobs(Overloaded):
    """Raised with `limit` in the extensions as well."""

    slug = "too-many-jobs"
    title = "Too many jobs of this caller have not ended"


class GenerationFailed(SpeechError):
    slug = "generation-failed"
    title = "No usable result was generated"


class DamagedRecord(SpeechError):
    slug = "damaged-record"
    title = "A stored record can't be read"


class JobAbandoned(SpeechError):
    slug = "job-abandoned"
    title = "The job was given up"


class ExternalModelRefused(SpeechError):
    status = 502
    slug = "external-model-refused"
    title = "The external language model did not accept the request"


class NotReady(SpeechError):
    status = 503
    slug = "not-ready"
    title = "The service is not ready"


class DeadlineExceeded(SpeechError):
    status = 504
    slug = "deadline-exceeded"
    title = "The request took too long"
