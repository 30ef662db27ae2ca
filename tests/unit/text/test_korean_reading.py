"""Reading written Korean: one example a rule, and the project's own benchmark."""

from importlib.resources import files

import pytest

from models.text.benchmark import Case, evaluate, main, read_cases, table
from models.text.korean import normalize, pronounce_standard
from models.text.korean.normalizer import read


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("사과 3개", "사과 세 개"),
        ("21살, 20명", "스물한 살, 스무 명"),
        ("3시 30분", "세 시 삼십분"),
        ("2026년 6월 10일", "이천이십육년 유월 십일"),
        ("010-1234-5678", "공일공 일이삼사 오육칠팔"),
        ("$3.50", "삼달러 오십센트"),
        ("25°C, -7℃", "섭씨 이십오도, 영하 칠도"),
        ("3:2로 이겼다", "삼대이로 이겼다"),
        ("11/21 개봉", "십일월 이십일일 개봉"),
        ("2/3가 찬성", "삼분의 이가 찬성"),
        ("20대 남성과 차 20대", "이십대 남성과 차 스무 대"),
        ("3번 출구에서 3번", "삼번 출구에서 세 번"),
        ("AI와 CCTV", "에이아이와 씨씨티브이"),
        ("5G, A4, B2B", "파이브지, 에이포, 비투비"),
        ("ㅋㅋㅋ ㄱㅅ~ 👍", "크크크 감사"),
        ("美 대통령", "미 대통령"),
        ("20대 3명과 5대 3", "이십대 세 명과 오대삼"),
        ("6시 10분께, 손님 10분께", "여섯 시 십분께, 손님 열 분께"),
        ("5kg~10kg", "오 킬로그램에서 십 킬로그램"),
        ("6/10~6/12, 1/4~3/4", "유월 십일에서 유월 십이일, 사분의 일에서 사분의 삼"),
        ("10⁻⁶, 10¹²", "십의 마이너스 육제곱, 십의 십이제곱"),
        ("500MB/s, 10m/s", "초당 오백 메가바이트, 초속 십 미터"),
        ("ㄱㄱㄱㄱ", "고고고고"),
        ("1" * 41, "일" * 41),
        ("국번 없이 120, 사과 120개", "국번 없이 일이공, 사과 백이십개"),
        ("386세대, 총 386세대", "삼팔육세대, 총 삼백팔십육세대"),
        ("비번은 abc1234", "비번은 에이비씨 일이삼사"),
        ("GPT-3.5, v1.0.2", "지피티 삼점오, 브이 일점영점이"),
        ("D-7, D-7구역", "디 마이너스 칠, 디 세븐구역"),
        ("2PM 노래, 2PM에", "투피엠 노래, 오후 두 시에"),
        ("10~15℃, 18℃~22℃", "섭씨 십에서 십오도, 섭씨 십팔도에서 이십이도"),
        ("9시-18시", "아홉 시에서 십팔시"),
        (
            "11.21~11.23, 11/21~23",
            "십일월 이십일일에서 십일월 이십삼일, 십일월 이십일일에서 이십삼일",
        ),
        ("1.50~1.75배", "일점오영에서 일점칠오배"),
        ("24.03.15, iOS 17.4.1", "이십사년 삼월 십오일, 아이오에스 십칠점사점일"),
        ("1:10,000", "일대만"),
        ("30×20cm", "삼십 곱하기 이십 센티미터"),
        ("1h 30m", "한 시간 삼십 분"),
        ("5번가에서 5번 가", "오번가에서 다섯 번 가"),
    ],
)
def test_written_form_is_read_aloud_as_people_say_it(written: str, spoken: str) -> None:
    assert normalize(written) == spoken


@pytest.mark.parametrize(
    ("word", "hangul"),
    [
        ("meeting", "미팅"),  # transliterated from its pronunciation
        ("sweet", "스위트"),
        ("Bridge", "브리지"),
        ("tteokguk", "떡국"),  # romanised Korean
        ("HTTP", "에이치티티피"),  # no vowel: spelled
        ("YouTube's", "유튜브스"),
        ("U.S.A.", "유에스에이"),
        ("R&D", "알앤디"),
        ("GPT-4", "지피티 포"),
        ("1+1=2", "일 더하기 일은 이"),
        ("3-2=1", "삼 빼기 이는 일"),
    ],
)
def test_latin_word_is_said_as_korean_says_it(word: str, hangul: str) -> None:
    assert normalize(word) == hangul


@pytest.mark.parametrize(
    ("reading", "sound"),
    [
        ("십육", "심뉵"),
        ("제이십육회", "제이심뉴쾨"),
        ("백육번", "뱅뉵뻔"),
        ("열여섯 명", "열려선 명"),
        ("마흔여덟", "마흔녀덜"),
        ("인천육지", "인처뉵찌"),
    ],
)
def test_numerals_insert_n_as_standard_korean_does(reading: str, sound: str) -> None:
    assert pronounce_standard(reading) == sound


def test_every_character_of_a_reading_knows_its_source() -> None:
    reading = read("값은 ₩1,500!")

    assert reading.text == "값은 천오백원!"
    assert reading.source_span(reading.text.index("천")) == (3, 9)
    assert reading.source_span(0) == (0, 1)
    with pytest.raises(ValueError, match="no character 99"):
        reading.source_span(99)


def test_decomposed_and_full_width_spellings_read_like_plain_ones() -> None:
    assert normalize("３개") == normalize("3개")
    assert normalize("\u1100\u1161\u11a8") == "각"
    assert normalize("10㎏") == normalize("10kg")


def test_own_benchmark_has_at_least_400_cases_and_98_percent_are_read_right() -> None:
    text = (files("models.text") / "data" / "korean_reading_cases.tsv").read_text(encoding="utf-8")
    cases = list(read_cases(text))

    results = evaluate(cases, [normalize(case.written) for case in cases])

    assert len({case.written for case in cases}) == len(cases) >= 400
    assert sum(result.is_correct for result in results) >= 0.98 * len(cases)


def test_report_counts_by_category_and_ignores_spaces_and_punctuation() -> None:
    cases = list(
        read_cases("# written\treadings\n# note\n## clock\n3시\t세 시|삼시\n## money\n5원\t오원\n")
    )

    results = evaluate(cases, ["세시!", "다섯원"])

    assert cases[0] == Case("clock", "3시", ("세 시", "삼시"))
    assert table(results).splitlines()[2:] == [
        "| clock | 1 | 1 | 100.0% |",
        "| money | 1 | 0 | 0.0% |",
        "| **all** | 2 | 1 | 50.0% |",
    ]


def test_case_without_a_tab_is_refused_with_its_line_number() -> None:
    with pytest.raises(ValueError, match="line 2 has no tab"):
        list(read_cases("3시\t세 시\n5원 오원"))


def test_benchmark_command_fails_below_its_minimum(
    tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    from pathlib import Path

    file = Path(str(tmp_path)) / "cases.tsv"
    file.write_text("3개\t세 개\n3년\t세 년\n", encoding="utf-8")

    assert main([str(file), "--failures", "--minimum", "0.9"]) == 1
    assert "3년 -> 삼년 (not 세 년)" in capsys.readouterr().out
    assert main([str(file), "--minimum", "0.5"]) == 0
