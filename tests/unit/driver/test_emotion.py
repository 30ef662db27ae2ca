import math

import pytest

from deployments.driver.emotion import Emotion, Weights, main_emotion, nearest_emotion
from deployments.errors import UnsupportedEmotion

CHOICES: list[Weights] = [
    {"neutral": 1.0},
    {"happiness": 1.0},
    {"anger": 0.8, "disgust": 0.4},
    {"sadness": 0.7, "fear": 0.7},
]


@pytest.mark.parametrize(
    ("emotion", "chosen"),
    [
        ("neutral", 0),
        ("happiness", 1),
        ("surprise", 1),
        ("anger", 2),
        ("disgust", 2),
        ("fear", 3),
        ("other", 0),
        ({"happiness": 0.2, "sadness": 0.9}, 3),
        ({"sadness": 0.4, "neutral": 0.9}, 0),
        ({"sadness": 0.5, "fear": 0.5, "happiness": 0.6}, 3),
    ],
)
def test_the_nearest_of_a_voices_emotions_is_used(emotion: Emotion, chosen: int) -> None:
    assert nearest_emotion(emotion, CHOICES) == chosen


def test_without_a_neutral_clip_the_first_one_speaks_for_what_is_not_near() -> None:
    assert nearest_emotion("other", [{"anger": 1.0}, {"happiness": 1.0}]) == 0
    assert nearest_emotion("neutral", [{}]) == 0


@pytest.mark.parametrize(
    "emotion",
    ["bored", "", {"bored": 1.0}, {}, {"anger": 0.0}, {"anger": -1.0}, {"fear": math.nan}],
)
def test_what_is_no_emotion_is_refused(emotion: Emotion) -> None:
    with pytest.raises(UnsupportedEmotion):
        nearest_emotion(emotion, CHOICES)


def test_the_main_emotion_weighs_most() -> None:
    assert main_emotion({"anger": 0.8, "disgust": 0.9}) == "disgust"
    assert main_emotion({}) == "neutral"
