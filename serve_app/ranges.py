"""Parts of a recording: the `Range` header (RFC 9110, section 14), one range at a time."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from fastapi.responses import StreamingResponse

from deployments.errors import UnsatisfiableRange
from deployments.jobs.client import StoredAudio

# At most 18 digits: more is outside of every recording, and slow to read.
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_PIECE_BYTES = 1 << 20


def ranged_reply(
    audio: StoredAudio, media_type: str, asked: str | None, if_range: str | None
) -> StreamingResponse:
    """A recording, or the part of it that was asked for, read as it is sent.

    Args:
        media_type: of the recording.
        asked: the `Range` header; a form that is not understood means the whole, as the RFC says.
        if_range: the `If-Range` header; unless it is the current ETag, the whole is sent.

    Raises:
        UnsatisfiableRange: the range begins after the end.
    """
    etag = f'"{audio.etag}"'
    is_current = if_range is None or if_range.strip() == etag
    bounds = parse_range(asked, audio.size_bytes) if asked and is_current else None
    first, last = bounds or (0, audio.size_bytes - 1)
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Length": str(last - first + 1)}
    if bounds is not None:
        headers["Content-Range"] = f"bytes {first}-{last}/{audio.size_bytes}"
    return StreamingResponse(
        _pieces(audio, first, last), 200 if bounds is None else 206, headers, media_type
    )


def parse_range(asked: str, size_bytes: int) -> tuple[int, int] | None:
    """First and last byte of a `Range` header, or None where it asks for no single range.

    Raises:
        UnsatisfiableRange: no byte of it exists.
    """
    match = _RANGE.fullmatch(asked.strip())
    if match is None or not any(match.groups()):
        return None
    start, end = match.groups()
    if not start:  # the last `end` bytes
        first, last = max(0, size_bytes - int(end)), size_bytes - 1
    elif end and int(end) < int(start):
        return None
    else:
        first, last = int(start), min(int(end or size_bytes), size_bytes - 1)
    if first > last:
        raise UnsatisfiableRange(
            f"the recording has {size_bytes} bytes; {asked[:60]!r} asks for none of them",
            {"size_bytes": size_bytes},
        )
    return first, last


async def _pieces(audio: StoredAudio, first: int, last: int) -> AsyncIterator[bytes]:
    for start in range(first, last + 1, _PIECE_BYTES):
        yield await audio.read(start, min(_PIECE_BYTES, last + 1 - start))
