import io
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import soundfile

from deployments.driver.pcm import encode_pcm16
from models.kokoro.__main__ import embedded_voice
from models.kokoro.pipeline import KokoroEngine
from models.kokoro.pipeline import speak as speak_alone
from models.recognition import Recognizer, character_error_rate
from models.text.korean import normalize

pytestmark = pytest.mark.e2e

SENTENCES = [
    ("bujang", "오늘 회의는 여기까지 하고 다 같이 점심 먹으러 갑시다."),
    ("bujang", "어제 본 영화가 생각보다 훨씬 재미있었어."),
    ("bujang", "비가 올 것 같으니까 우산을 꼭 챙겨 가세요."),
    ("bujang", "주말에는 가족들과 함께 바닷가에 다녀왔습니다."),
    ("bujang", "이 문제는 처음부터 다시 생각해 봐야 할 것 같아."),
    ("sinip", "안녕하세요, 이번 주부터 함께 일하게 된 신입사원입니다."),
    ("sinip", "지하철역까지 걸어서 얼마나 걸리는지 알려 주시겠어요?"),
    ("sinip", "보고서는 내일 아침까지 정리해서 보내 드리겠습니다."),
    ("sinip", "따뜻한 커피 한 잔 마시면서 잠깐 쉬는 게 어떨까요?"),
    ("sinip", "창문을 열었더니 시원한 바람이 방 안으로 들어왔다."),
]


def speak(client: httpx.Client, voice: str, text: str, **options: object) -> httpx.Response:
    body = {"model": "tts-1", "voice": voice, "input": text, "response_format": "wav", **options}
    return client.post("/v1/audio/speech", json=body)


def samples_of(wav: bytes) -> np.ndarray:
    samples, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
    assert rate == 24000
    return samples


def test_ten_sentences_are_understood(client: httpx.Client, recognizer: Recognizer) -> None:
    heard = []
    for voice, text in SENTENCES:
        reply = speak(client, voice, text)
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "audio/wav"
        heard.append((text, normalize(recognizer.transcribe(samples_of(reply.content), 24000))))
    rate = character_error_rate(heard)
    print(f"character error rate {rate:.3f}")
    assert rate <= 0.15, heard


def test_pcm_is_the_wav_without_its_header(client: httpx.Client) -> None:
    wav = speak(client, "sinip", "네, 알겠습니다.", response_format="wav")
    pcm = speak(client, "sinip", "네, 알겠습니다.", response_format="pcm")
    assert pcm.headers["x-sample-rate"] == "24000"
    assert wav.content[44:] == pcm.content


def test_the_service_speaks_as_the_single_request_path_does(client: httpx.Client) -> None:
    text = "2026년 6월 10일, 사과 3개를 샀다. 열여섯 개는 아니고."
    alone = speak_alone(text, embedded_voice("bujang"), KokoroEngine())
    assert speak(client, "bujang", text, response_format="pcm").content == encode_pcm16(alone)


def test_a_web_address_longer_than_the_network_can_speak_is_spoken(client: httpx.Client) -> None:
    text = "주소는 http://" + "a.b." * 60 + "kr 입니다."
    assert len(samples_of(speak(client, "sinip", text).content)) > 24000


def test_mp3_is_what_a_client_gets_that_asks_for_nothing_else(client: httpx.Client) -> None:
    body = {"model": "tts-1", "voice": "sinip", "input": "네, 알겠습니다."}
    reply = client.post("/v1/audio/speech", json=body)
    assert reply.headers["content-type"] == "audio/mpeg"
    assert soundfile.info(io.BytesIO(reply.content)).format == "MP3"


def test_the_first_sentence_arrives_while_the_rest_is_being_made(client: httpx.Client) -> None:
    text = " ".join(text for _, text in SENTENCES[:4])
    body = {"model": "tts-1", "voice": "bujang", "input": text, "response_format": "pcm"}
    started = time.monotonic()
    arrivals = []
    with client.stream("POST", "/v1/audio/speech", json=body) as reply:
        for _ in reply.iter_raw():
            arrivals.append(time.monotonic() - started)
    assert arrivals[0] < 0.6 * arrivals[-1]


def test_a_faster_speed_is_shorter(client: httpx.Client) -> None:
    text = "천천히 말해도 되고 빨리 말해도 됩니다."
    slow, fast = (len(speak(client, "sinip", text, speed=speed).content) for speed in (0.8, 1.5))
    assert fast < 0.7 * slow


def test_emotions_sound_different(client: httpx.Client) -> None:
    neutral, happy, sad = (
        speak(client, "bujang", "오늘 정말 수고 많았어.", emotion=emotion).content
        for emotion in ("neutral", "happiness", "sadness")
    )
    assert len({neutral, happy, sad}) == 3


def test_the_same_request_gives_the_same_bytes(client: httpx.Client) -> None:
    first, second = (speak(client, "sinip", "다시 한번 말씀드릴게요.").content for _ in range(2))
    assert first == second


def test_requests_at_the_same_time_do_not_mix(client: httpx.Client) -> None:
    jobs = SENTENCES[4:7]
    alone = [speak(client, voice, text).content for voice, text in jobs]
    with ThreadPoolExecutor(len(jobs)) as pool:
        together = list(pool.map(lambda job: speak(client, *job).content, jobs))
    assert together == alone


def test_voices_and_models_are_listed(client: httpx.Client) -> None:
    voices = client.get("/v1/audio/voices").json()
    models = client.get("/v1/models").json()
    assert {voice["id"] for voice in voices["data"]} >= {"bujang", "sinip"}
    assert {model["id"] for model in models["data"]} >= {"tts-1", "tts-1-hd", "gpt-4o-mini-tts"}
