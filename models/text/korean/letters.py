"""Latin letters, Greek letters and the digits of names (A4, B2B) as Korean says them."""

LETTERS = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        (
            "에이 비 씨 디 이 에프 지 에이치 아이 제이 케이 엘 엠 엔 오 피 큐 알 에스 티 유 "
            "브이 더블유 엑스 와이 제트"
        ).split(),
        strict=True,
    )
)
GREEK = dict(
    zip(
        "αβγδεζηθικλμνξοπρστυφχψω",
        (
            "알파 베타 감마 델타 엡실론 제타 에타 세타 이오타 카파 람다 뮤 뉴 크시 오미크론 "
            "파이 로 시그마 타우 입실론 파이 카이 프시 오메가"
        ).split(),
        strict=True,
    )
)
ENGLISH_DIGITS = dict(
    zip("0123456789", "제로 원 투 쓰리 포 파이브 식스 세븐 에잇 나인".split(), strict=True)
)


def spell(word: str) -> str:
    """KBS -> 케이비에스. Characters that are not Latin letters are left out."""
    return "".join(LETTERS.get(letter, "") for letter in word.lower())
