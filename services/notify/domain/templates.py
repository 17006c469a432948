# SPDX-License-Identifier: Apache-2.0
"""The texts that carriers have registered under our sender name, one SMS each.

Every template is budgeted: with the longest value of every parameter it still fits 160 septets
(``tests/unit/notify/test_templates.py``). Texts are unaccented, because an accented character
turns the whole message into UCS-2 with 70 characters a segment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Final

from services.notify.domain.gsm7 import fits_one_sms

OFFICE_CHARS: Final = 30
CODE_CHARS: Final = 32
DATE_CHARS: Final = 10
MACHINE_CHARS: Final = 4
OTP_CHARS: Final = 6
AMOUNT_CHARS: Final = 14

LONGEST: Final[Mapping[str, int]] = {
    "office": OFFICE_CHARS,
    "code": CODE_CHARS,
    "due": DATE_CHARS,
    "until": DATE_CHARS,
    "machine": MACHINE_CHARS,
    "otp": OTP_CHARS,
    "amount": AMOUNT_CHARS,
}
"""The longest value of each parameter, in characters."""


class TemplateError(ValueError):
    """A text cannot be made: a parameter is missing, too long or not plain; names no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One registered text.

    Attributes:
        name: as ``notification.requested`` names it.
        text: with ``{parameter}`` places.
        secret: parameters that are personal and only known when it is sent.
    """

    name: str
    text: str
    secret: frozenset[str] = frozenset()

    @property
    def parameters(self) -> frozenset[str]:
        """Names of all places in the text."""
        return frozenset(name for _, name, _, _ in Formatter().parse(self.text) if name)

    def render(self, params: Mapping[str, str]) -> str:
        """Return the text with ``params`` filled in; surplus parameters are ignored.

        Raises:
            TemplateError: missing, too long or accented parameter; the message never holds values.
        """
        chosen = {}
        for name in sorted(self.parameters):
            value = params.get(name, "")
            if not 0 < len(value) <= LONGEST[name]:
                msg = f"{self.name}: parameter {name} is missing or over {LONGEST[name]} characters"
                raise TemplateError(msg)
            chosen[name] = value
        text = self.text.format_map(chosen)
        if not fits_one_sms(text):
            msg = f"{self.name}: the text does not fit one unaccented SMS"
            raise TemplateError(msg)
        return text


TEMPLATES: Final[Mapping[str, Template]] = {
    template.name: template
    for template in (
        Template(
            name="accepted",
            text=(
                "{office}: Da tiep nhan ho so {code}. Hen tra ket qua {due}. "
                "Tra cuu: dichvucong.gov.vn"
            ),
        ),
        Template(
            name="refused",
            text=(
                "{office}: Ho so {code} khong duoc tiep nhan. "
                "Moi Ong/Ba den Bo phan mot cua nhan lai ho so va ly do."
            ),
        ),
        Template(
            name="supplement",
            text=(
                "{office}: Ho so {code} can bo sung giay to truoc {until}. "
                "Moi Ong/Ba den Bo phan mot cua de biet chi tiet."
            ),
        ),
        Template(
            name="fee_due",
            text=(
                "{office}: Ho so {code} phai nop them {amount} d tai may 24/7 "
                "hoac Bo phan mot cua; tam dung tinh thoi han."
            ),
        ),
        Template(
            name="rescheduled",
            text=(
                "{office}: Xin loi Ong/Ba, ho so {code} chua xong dung hen. "
                "Hen lai ngay {due}. Mong Ong/Ba thong cam."
            ),
        ),
        Template(
            name="ready_at_counter",
            text=(
                "{office}: Ho so {code} da co ket qua. "
                "Moi Ong/Ba nhan tai Bo phan mot cua trong gio hanh chinh."
            ),
        ),
        Template(
            name="reminder",
            text=(
                "{office}: Ket qua ho so {code} con trong may {machine} den {until}. "
                "Xin dung ma nhan da gui truoc day."
            ),
        ),
        Template(
            name="recalled",
            text=(
                "{office}: Ket qua ho so {code} da duoc lay khoi may. "
                "Moi Ong/Ba nhan tai Bo phan mot cua."
            ),
        ),
        Template(
            name="withdrawn",
            text=(
                "{office}: Da ghi nhan Ong/Ba rut ho so {code}. "
                "Moi den Bo phan mot cua nhan lai giay to."
            ),
        ),
        Template(
            name="stopped",
            text=(
                "{office}: Ho so {code} da dung giai quyet. "
                "Moi Ong/Ba den Bo phan mot cua nhan thong bao ly do."
            ),
        ),
        Template(
            name="owed",
            text=(
                "{office}: Ong/Ba duoc hoan lai {amount} d cua ho so {code}. "
                "Moi mang giay to den Bo phan mot cua."
            ),
        ),
        Template(
            name="result_ready",
            text=(
                "{office}: Ho so {code} da co ket qua. Moi Ong/Ba nhan tai may 24/7 {machine}. "
                "Ma nhan: {otp}, han {until}."
            ),
            secret=frozenset({"otp"}),
        ),
    )
}
