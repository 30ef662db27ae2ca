"""Which numerals a counter takes: 세 개 and 세 시, but 삼 년 and 삼 층."""

import re

from models.text.korean.numbers import adnominal, native
from models.text.tables import read_table

_NATIVE_UP_TO = {counter: int(limit) for counter, limit in read_table("korean_counters")}

# What may follow a counter of one syllable; anything else means a longer word (3방향, 3채널).
_ENDING = (
    r"(?:[^가-힣]|$|은|는|이|가|을|를|의|에|도|로|와|과|랑|만|까지|부터|보다|마다|씩|째|쯤|짜리|정도|이상|이하"
    r"|미만|초과|나|밖|뿐|라|입|예|야|고|인|일|임|였|하|께|간|당|치|용|반|후|전|뒤|내|경|정각|발|꼴|배기|들이"
    r"|서|여|남짓|가량|넘|더|요|죠|지만|네|다|건|든|처럼|같|중|한테|으로|따|분량|조차)"
)
_COUNTER = re.compile(
    r"(\s?)("
    + "|".join(
        re.escape(counter) + ("" if len(counter) > 1 else f"(?={_ENDING})")
        for counter in sorted(_NATIVE_UP_TO, key=len, reverse=True)
    )
    + ")"
)

_VEHICLE = re.compile(
    r"(?:차|자동차|승용차|트럭|버스|택시|컴퓨터|카메라|비행기|노트북|휴대폰|스마트폰|핸드폰|에어컨|오토바이|자전거"
    r"|드론|로봇|탱크|서버|TV|티비|모니터|기기|장비|냉장고|세탁기|열차|헬기|전투기|피아노|선풍기|폰|PC|피씨)"
    r"(?:를|을|가|이|는|은|도)?$"
)
_GENERATION = re.compile(
    r"\s?대(?:째|가 (?:모여|함께|같이)|에 걸|를 이|\s?(?:독자|종손)"
    r"|\s(?:강국|명절|보험|불가사의|그룹|기업"
    r"|메이저|은행|종교|도시|과제|요소|원칙|천왕|영양소|거짓말|악법|성인"
    r"|공약|핵심|의무|전략|리그|왕|대통령|총선|국회|회장|총장|사장|뉴스|산업|지수|기획사|거래소|통신사|질병|암|국립"
    r"|광역시|고궁|궁궐|명산|작물|비극|희극|욕구|열강|강대국|생산국|수출국|일간지|방송사|지상파|백화점|편의점|정당"
    r"|민족|성지|폭포|축제|영화제|문명|발명품|기서|증권사|로펌|빅테크|사건|참사|미스터리|박물관|미술관|투어"
    r"|음식|식품|채소|증상|원인|이유|법칙|혁신|개혁|정책|쟁점|변수|비결|습관|조건|공항|항구))"
)
_NUMBERED_THING = re.compile(
    r"\s?번\s(?:출구|버스|문제|선수|타자|국도|게이트|홀|트랙|채널|좌석|승강장|플랫폼|창구|버튼|줄|열|방|문항|문|보기|답|정답"
    r"|후보|주자|척추|염색체|교향곡|곡|레인|코스|부두|도로|키|카드|사진|그림|항목|질문|고객|손님|참가자|환자|투수|포트|칸|자리"
    r"|마을버스|광역버스|시내버스|테이블|객차|항|정류장|메뉴|유형|배너)"
)
_STREET = re.compile("번가(?![가-힣])|번가(?:에|의|로|쪽|까지|와|를|는)")
_CHOSEN_NUMBER = re.compile(
    r"\s?번(?:을|를|이|으로|에)?\s?(?:누르|눌러|누릅|선택|고르|골라|고른|찍|클릭|입력|정답|맞|배정|체크|다이얼)"
)
_NUMBERED_PLACE = re.compile(
    r"(?:\d반|버스|마을버스|정답은|답은|보기|기호|등번호|국도|객관식|선택지|백넘버|끝자리|뒷자리|채널|문제|창구|좌석|게이트|지하철|참가번호|대기번호|번호|내선|교향곡|협주곡|소나타)$"
)
_PEOPLE = re.compile(
    r"(?:손님|고객|어르신|선생님|성인|어른|관객|여러분|하객|내빈|직원|환자|일행|교수님|어머님|아버님|할머니|할아버지)(?:이|은|은요|만|도)?$"
)
_HOUR_BEFORE = re.compile(r"\d\s?시(?:간)?$")  # 6시 10분께: minutes, not people
# A counter that is Sino-Korean by default (삼 점, 삼 쪽) and native after what it then counts.
_NATIVE_AFTER = {
    "점": re.compile("(?:그림|작품|유물|고기|유화|도자기|의류|미술품|소품|가구)$"),
    "수": re.compile("(?:^|[^가-힣])(?:시|한시|시조|즉흥시|축시)$"),
    "쪽": re.compile("(?:마늘|귤|사과|오렌지|수박|생강)$"),
}
_PEOPLE_AFTER = re.compile(
    r"\s?분(?:께|이서|이세요|이신|이십|이 오|이 계|이나 오|을 모|을 위한 (?:자리|좌석)"
    r"|의 (?:손님|고객|선생님)|\s?모두|(?:이|만)? 예약|\s예약)"
)


def counted(number: str, before: str, after: str) -> str | None:
    """The native numeral for `number` before the counter that `after` begins with.

    Returns None where the numeral is Sino-Korean: for other counters, and for large numbers.
    """
    if not _HOUR_BEFORE.search(before) and (
        _PEOPLE_AFTER.match(after)
        or (_PEOPLE.search(before) and re.match(r"\s?분(?!\s?[전후뒤간])", after))
    ):
        return _with_space(number, 99, after)
    thing = _NATIVE_AFTER.get(after.lstrip()[:1])
    if thing and thing.search(before):
        return _with_space(number, 99, after)
    match = _COUNTER.match(after)
    if match is None:
        return None
    counter = match[2]
    if before.endswith("제") or (counter == "장" and _is_chapter(before, after)):
        return None
    if counter == "번" and _is_label(before, after):
        return None
    if counter == "대" and _is_not_a_machine(number, before, after):
        return None
    if counter == "번째" and number == "1":
        return "첫" + ("" if match[1] else " ")
    return _with_space(number, _NATIVE_UP_TO[counter], after)


def counter_after(text: str) -> str | None:
    """The native counter that `text` begins with, if it does."""
    match = _COUNTER.match(text)
    return match[2] if match else None


def ordinal(number: int) -> str:
    """첫째, 둘째, 열두째."""
    names = {1: "첫", 2: "둘", 3: "셋", 4: "넷"}
    return (
        names.get(number, native(number) if number < 10 or number % 10 == 0 else adnominal(number))
        + "째"
    )


def _with_space(number: str, limit: int, after: str) -> str | None:
    value = int(number)
    if not 0 < value <= limit:
        return None
    return adnominal(value) + ("" if after[:1].isspace() else " ")


def _is_chapter(before: str, after: str) -> bool:
    """3막 5장, 3장 5절: parts of a work, not sheets."""
    return bool(re.search(r"\d막$", before) or re.match(r"\s?장\s?\d+\s?절", after))


def _is_label(before: str, after: str) -> bool:
    return bool(
        _NUMBERED_THING.match(after)
        or _STREET.match(after)
        or _CHOSEN_NUMBER.match(after)
        or _NUMBERED_PLACE.search(before)
    )


def _is_not_a_machine(number: str, before: str, after: str) -> bool:
    """Whether N대 means an age group (20대) or a rank (5대 강국) rather than machines (차 20대)."""
    if _GENERATION.match(after):
        return True
    return number.endswith("0") and not _VEHICLE.search(before)
