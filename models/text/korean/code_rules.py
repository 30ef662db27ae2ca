"""Numbers that are names rather than amounts: telephone, card, account, PIN, plate, address."""

import re

from models.text.korean.latin_rules import read_word
from models.text.korean.numbers import digits, sino
from models.text.korean.rule import Match, Rule, after, rule

_CODE_BEFORE = re.compile(
    r"(?:비밀번호|비번|인증번호|인증 번호|인증코드|핀번호|핀 번호|PIN|핀|우편번호|암호|코드"
    r"|코드번호|일련번호|접수번호|예약번호|주문번호"
    r"|계좌번호|계좌|카드번호|사번|학번|군번|수험번호|차량번호|등록번호|사업자번호|전화번호"
    r"|연락처|번호|뒷자리|뒷번호|네 자리|내선|OTP|송장번호"
    r"|운송장|승인번호|식별번호|고유번호|회원번호|대표번호|문의|고객센터|콜센터|PW|패스워드|\(우\)|우\))"
    r"(?:은|는|이|가|를|을|로|란에)?\s?[:=\"'(\[]?\s?(?:#)?$"
)
_PASSWORD_BEFORE = re.compile(
    r"(?:비밀번호|비번|아이디|ID|PW|패스워드|암호|코드)(?:은|는|이|가|를)?\s?[:=\"'(\[]?\s?$"
)
_CALLED_BEFORE = re.compile(r"(?:긴급\s?전화|신고\s?전화|전화는|신고는|국번\s?없이)\s?$")
_HOMES_BEFORE = re.compile(r"(?:총|전체|모두|약|규모|아파트|단지|가구)\s?$")
_COUNTED = re.compile(
    r"\s?(?:번(?![호지])|개|명|원|년|월|일|층|호|위|등|점|회|건|자리|만|억|천|가지|글자|킬로|%|퍼센트)"
)


def _read_digits(match: Match) -> str | None:
    """Groups digit by digit, with the pauses of the hyphens; zero is 공."""
    groups = re.findall(r"\d+", match[0])
    return ("플러스 " if match[0].startswith("+") else "") + " ".join(map(digits, groups))


def _read_code(match: Match) -> str | None:
    context = match.string[max(0, match.start() - 24) : match.start()]
    if not _CODE_BEFORE.search(context) or _COUNTED.match(after(match)):
        return None
    return _read_digits(match)


def _read_password(match: Match) -> str | None:
    """비번은 abcd1234: letters and digits, which are no amount."""
    context = match.string[max(0, match.start() - 24) : match.start()]
    if not _PASSWORD_BEFORE.search(context):
        return None
    parts = re.findall(r"[A-Za-z]+|\d+", match[0])
    return " ".join(digits(part) if part.isdigit() else read_word(part) for part in parts)


def _read_plate(match: Match) -> str | None:
    """12가 3456: the class as a number, the serial digit by digit."""
    return f"{sino(int(match[1]))}{match[2]} {digits(match[3])}"


def _read_lot(match: Match) -> str | None:
    """123-45 of an address, 7-1 of a bus: 백이십삼 다시 사십오."""
    numbers = [match[1], match[2]]
    if any(len(n) > 4 or (len(n) > 1 and n.startswith("0")) for n in numbers):
        return _read_digits(match)
    return " 다시 ".join(sino(int(n)) for n in numbers)


def _read_basement(match: Match) -> str | None:
    return f"지하 {sino(int(match[1]))}"


def _read_emergency(match: Match) -> str | None:
    return digits(match[0])


def _read_called_number(match: Match) -> str | None:
    """긴급전화 119, 국번 없이 120: the words before say that it is dialled."""
    context = match.string[max(0, match.start() - 24) : match.start()]
    if not _CALLED_BEFORE.search(context) or _COUNTED.match(after(match)):
        return None
    return digits(match[0])


def _read_named_generation(match: Match) -> str | None:
    """386세대, 5060세대: people of those ages or years; not so many homes."""
    if _HOMES_BEFORE.search(match.string[max(0, match.start() - 24) : match.start()]):
        return None
    return digits(match[0])


TELEPHONE_RULES: list[Rule] = [
    rule(r"\+\d{1,3}(?:[- ]?\(?\d{1,4}\)?){1}(?:[- ]\d{2,4}){2,3}(?!\d)", _read_digits),
    rule(r"\(?0\d{1,2}\)?[-. ]{0,2}\d{3,4}[-. ]\d{4}(?!\d)", _read_digits),
    rule(r"01[016789]\d{7,8}(?!\d)", _read_digits),
    rule(r"0\d{8,10}(?!\d)", _read_digits),
    rule(r"1[5-9]\d\d-\d{4}(?!\d)", _read_digits),
    rule(r"\d{4}([- ])\d{4}\1\d{4}\1\d{3,4}(?!\d)", _read_digits),
    rule(r"\d{6}-[1-8][\d*]{6}", _read_digits),
    rule(r"\d+(?:-\d+){2,}(?!\d)", _read_digits),
    rule(
        r"(?:[A-Za-z]{1,20}\d{1,20}|\d{1,20}[A-Za-z]{1,20})[A-Za-z0-9]{0,20}(?![A-Za-z0-9])",
        _read_password,
    ),
    rule(r"\d{3,}(?:-\d{2,})?(?![\d.,]\d|\d)", _read_code),
    rule(
        r"(\d{2,3})([가나다라마거너더러머버서어저고노도로모보소오조구누두루무부수우주바사아자배허하호])\s?(\d{4})(?![\d,]|\s?(?:년|원|명|개|미터|m))",
        _read_plate,
    ),
    rule(
        r"(?:112|119|114|911|1339|1366|1330|1345)(?=에(?!\s?\d)|로|번에|번으로|\s?안내|\s?신고|\s?구급|\s?소방|\s?상황실|\s?콜센터|\s?대원)",
        _read_emergency,
    ),
    rule(r"1\d{2,3}(?!\d|[,.:-]\d)", _read_called_number),
    rule(
        r"[1-9]0[2-9]0(?=\s?(?:세대(?!\s?(?:아파트|규모|단지|입주|분양|공급))|노래|음악|가요|감성))",
        _read_named_generation,
    ),
    rule(
        r"[3-5]86(?=\s?세대(?!\s?(?:아파트|규모|단지|입주|분양|공급|가운데|중|모집|건립)))",
        _read_named_generation,
    ),
]

ADDRESS_RULES: list[Rule] = [
    rule(r"B(\d{1,2})(?=층|F)", _read_basement),
    rule(r"(\d+)-(\d+)(?![\d-]|\s?=)", _read_lot),
]
