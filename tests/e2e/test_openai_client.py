"""The official client, unmodified."""

import io
from collections.abc import Iterator

import openai
import pytest
import soundfile

from tests.e2e.service import Service

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def openai_client(service: Service) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="unused", base_url=f"{service.url}/v1", max_retries=0) as client:
        yield client


def test_speech_is_created(openai_client: openai.OpenAI) -> None:
    speech = openai_client.audio.speech.create(
        model="gpt-4o-mini-tts", voice="sinip", input="안녕하세요.", response_format="flac"
    )
    assert soundfile.info(io.BytesIO(speech.content)).samplerate == 24000


def test_speech_is_streamed(openai_client: openai.OpenAI) -> None:
    with openai_client.audio.speech.with_streaming_response.create(
        model="tts-1",
        voice="bujang",
        input="첫 문장입니다. 그리고 두 번째 문장입니다.",
        response_format="pcm",
        speed=1.2,
        extra_body={"seed": 3, "sample_rate": 16000},
    ) as reply:
        assert reply.headers["x-sample-rate"] == "16000"
        assert sum(map(len, reply.iter_bytes())) > 16000


def test_models_are_listed(openai_client: openai.OpenAI) -> None:
    assert {"tts-1", "gemma-3-270m:bujang"} <= {model.id for model in openai_client.models.list()}


def test_a_persona_chats_and_streams(openai_client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": "점심시간이다."}]
    request = {"model": "gemma-3-270m:bujang", "messages": messages, "seed": 1}
    whole = openai_client.chat.completions.create(**request)
    pieces = [
        chunk.choices[0].delta.content or ""
        for chunk in openai_client.chat.completions.create(**request, stream=True)
    ]
    assert "".join(pieces) == whole.choices[0].message.content


def test_errors_are_the_ones_its_users_know(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        openai_client.audio.speech.create(model="tts-1", voice="nobody", input="안녕")
    assert unknown.value.code == "unknown-voice"
    with pytest.raises(openai.BadRequestError):
        openai_client.audio.speech.create(model="tts-1", voice="sinip", input="")
