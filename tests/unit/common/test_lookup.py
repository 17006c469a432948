# SPDX-License-Identifier: Apache-2.0
"""The secret on a slip."""

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from services.common import lookup

DOSSIER = UUID("01932b6e-7c00-7000-8000-000000000761")
SECRETS = st.text(lookup.ALPHABET, min_size=lookup.SECRET_CHARS, max_size=lookup.SECRET_CHARS)


def test_a_digest_is_frozen() -> None:
    """What is on paper in people's hands must be found for ever."""
    expected = "110dfa55e724d183077853bdefd4ce67a2928e187669e30384839bd60c7c08cf"
    assert lookup.digest("K7F3Q2A9", DOSSIER) == expected


def test_people_type_it_their_way() -> None:
    """Lower case and blanks around it do not matter."""
    assert lookup.matches(" k7f3q2a9 ", DOSSIER, lookup.digest("K7F3Q2A9", DOSSIER))


@settings(max_examples=10, deadline=None)
@given(SECRETS, SECRETS, st.uuids())
def test_only_the_right_secret_of_the_right_dossier(one: str, other: str, elsewhere: UUID) -> None:
    """Another secret, or the same for another dossier, finds nothing."""
    expected = lookup.digest(one, DOSSIER)
    assert lookup.matches(other, DOSSIER, expected) == (one == other)
    assert lookup.matches(one, elsewhere, expected) == (elsewhere == DOSSIER)


def test_no_lookup_is_nobodys() -> None:
    """The digest of slips without a secret cannot be hit."""
    assert not lookup.matches("", DOSSIER, lookup.NO_LOOKUP)


def test_secrets_are_plain_and_differ() -> None:
    """Eight characters without those that people mistake; the same again for the same dossier."""
    key = lookup.new_key()
    dossiers = [UUID(int=n) for n in range(50)]
    made = [lookup.secret_of(key, dossier) for dossier in dossiers]
    assert len(set(made)) == len(dossiers)
    assert all(len(one) == lookup.SECRET_CHARS and set(one) <= set(lookup.ALPHABET) for one in made)
    assert made == [lookup.secret_of(key, dossier) for dossier in dossiers]
    assert made != [lookup.secret_of(lookup.new_key(), dossier) for dossier in dossiers]
