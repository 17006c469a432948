# SPDX-License-Identifier: Apache-2.0
"""Every registered text fits one unaccented SMS, whatever is filled in; numbers are read kindly."""

import pytest
from marshmallow.validate import Length

from services.common.contracts.catalogue import OfficeRenamedV1
from services.common.contracts.values import AMOUNT_MAX_VND
from services.common.errors import Refused
from services.intake.domain.dossier_code import read_code
from services.notify.application.words import money
from services.notify.domain.gsm7 import fits_one_sms, septets
from services.notify.domain.templates import LONGEST, TEMPLATES, Template, TemplateError

CASES = sorted(TEMPLATES.values(), key=lambda template: template.name)


@pytest.mark.parametrize("template", CASES, ids=lambda template: template.name)
def test_the_longest_values_fit(template: Template) -> None:
    """With the longest value of every parameter the text is one SMS of 160 septets at most."""
    text = template.render({name: "X" * LONGEST[name] for name in template.parameters})
    assert septets(text) is not None
    assert len(text) <= 160


def test_the_budget_is_what_other_services_allow() -> None:
    """The longest code that is read, the largest amount, the longest name: none is over budget."""
    longest = read_code("H15.500.500.130-20261008-1234567")
    with pytest.raises(Refused):
        read_code("H15.500.500.130.1-20261008-1234567")
    assert LONGEST["code"] == len(longest)
    assert LONGEST["amount"] == len(money(AMOUNT_MAX_VND))
    (length,) = (
        one for one in OfficeRenamedV1().fields["name_sms"].validators if isinstance(one, Length)
    )
    assert LONGEST["office"] == length.max
    assert fits_one_sms("AZ az 09 .,:/()'&-"), "what an office's name may hold"


@pytest.mark.parametrize("template", CASES, ids=lambda template: template.name)
@pytest.mark.parametrize("value", ["", "X" * 161, "Nguyễn"])
def test_what_does_not_fit_is_refused(template: Template, value: str) -> None:
    """Missing, too long or accented: refused, and the message holds no value."""
    for name in template.parameters:
        params = dict.fromkeys(template.parameters, "X") | {name: value}
        with pytest.raises(TemplateError) as caught:
            template.render(params)
        assert not value or value not in str(caught.value)


def test_a_value_is_never_read_as_a_place() -> None:
    """Braces are not in a registered text, so a value cannot name another parameter."""
    params = {"office": "{code}", "code": "H30.12-261123-0001", "due": "27/11/2026"}
    with pytest.raises(TemplateError):
        TEMPLATES["accepted"].render(params)


@pytest.mark.parametrize(
    ("text", "fits"), [("a" * 160, True), ("a" * 161, False), ("ă", False), ("{", False),
                       ("[", False), ("@", False)],
)  # fmt: skip
def test_septets(text: str, fits: bool) -> None:
    """What carriers would turn into two messages, or into other letters, is refused."""
    assert fits_one_sms(text) is fits
