"""Ordered rules over header values."""

import pytest

from imaging.traits import Traits
from models.routing import Condition, Role, Rule, Rules
from nightread.errors import UsageFault

CHEST = Traits(
    source=("inbox",),
    modality=("CR",),
    image_type=("ORIGINAL", "PRIMARY"),
    body_part=("CHEST",),
    view=("PA",),
    description=("Thorax p.a. Mrs Canary",),
    rows=2048,
    columns=1900,
)


def rule(bundle: str, *conditions: str, role: Role = Role.ANSWER) -> Rule:
    """A rule as a person would type it."""
    return Rule(bundle=bundle, role=role, when=tuple(Condition.parse(text) for text in conditions))


@pytest.mark.parametrize(
    ("text", "matched"),
    [
        ("modality=CR", "CR"),
        ("modality=dx,cr", "CR"),
        ("modality=CT", None),
        ("image_type=PRIMARY", "PRIMARY"),
        ("image_type!=LOCALIZER", "not LOCALIZER"),
        ("image_type!=ORIGINAL", None),
        ("presentation_intent=FOR PRESENTATION", None),
        ("presentation_intent!=FOR PROCESSING", "not FOR PROCESSING"),
        ("description=*thorax*", "*THORAX*"),
        ("rows>=2048", "2048"),
        ("rows>=2049", None),
        ("columns<=1900", "1900"),
        ("rows=2048", "2048"),
        ("rows!=2048", None),
        ("source=in?ox", "inbox"),
    ],
)
def test_a_condition_says_what_matched(text: str, matched: str | None) -> None:
    """One of several values is enough; case does not matter; of free text only the pattern is kept."""
    assert Condition.parse(text).match(CHEST) == matched


@pytest.mark.parametrize("text", ["rows>=1", "modality=*", "view=PA", "rows=1", "description=*"])
def test_an_absent_value_matches_nothing_but_its_denial(text: str) -> None:
    """Whoever does not say PA is not PA."""
    assert Condition.parse(text).match(Traits()) is None
    assert Condition.parse("view!=PA").match(Traits()) == "not PA"
    assert Condition.parse("rows!=512").match(Traits()) == "absent"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("modality", "looks like"),
        ("colour=red", "there is no colour"),
        ("modality>=3", "only rows and columns are numbers"),
        ("rows>=many", "one whole number"),
        ("modality=,", "nothing to compare"),
    ],
)
def test_what_makes_no_condition_is_said(text: str, complaint: str) -> None:
    """The message names the text and the remedy."""
    with pytest.raises(UsageFault, match=complaint):
        Condition.parse(text)


@pytest.mark.parametrize("text", ["modality=CR,DX", "rows>=512", "image_type!=LOCALIZER"])
def test_a_condition_survives_being_stored(text: str) -> None:
    """The record keeps the text."""
    assert str(Condition.parse(text)) == text


def test_the_first_answer_wins_and_others_stand_beside_it() -> None:
    """Further and shadow rules do not compete with answers."""
    rules = Rules(
        [
            rule("shadow@1", role=Role.SHADOW),
            rule("ct@1", "modality=CT"),
            rule("chest@1", "modality=CR", "view=PA,AP"),
            rule("any@1"),
            rule("tubes@1", "modality=CR", role=Role.FURTHER),
        ]
    )
    matches = rules.choose(CHEST)
    assert [match.bundle for match in matches] == ["chest@1", "tubes@1", "shadow@1"]
    assert [match.shadow for match in matches] == [False, False, True]
    assert matches[0].matched == {"modality": "CR", "view": "PA"}


def test_without_an_answer_the_first_further_rule_answers() -> None:
    """An image that somebody wants analysed is not rejected because of the role's name."""
    (match,) = Rules([rule("tubes@1", role=Role.FURTHER)]).choose(CHEST)
    assert not match.shadow


def test_a_bundle_sees_an_image_once() -> None:
    """By the role that counts most, whatever the order of the rules."""
    rules = Rules([rule("a@1", role=Role.SHADOW), rule("b@1", role=Role.FURTHER), rule("a@1", "modality=CR")])
    assert [(match.bundle, match.shadow) for match in rules.choose(CHEST)] == [("a@1", False), ("b@1", False)]


def test_no_rule_takes_what_none_matches() -> None:
    """Nothing is guessed."""
    assert Rules([rule("ct@1", "modality=CT")]).choose(CHEST) == ()
    assert Rules([]).choose(CHEST) == ()


def test_headers_are_only_looked_at_where_a_rule_asks() -> None:
    """A night with one network for everything pays nothing for routing."""
    assert not Rules([rule("any@1")]).look_at_headers
    assert Rules([rule("any@1"), rule("ct@1", "modality=CT")]).look_at_headers


def test_brackets_are_letters() -> None:
    """Only `*` and `?` are wildcards: scanners write brackets into descriptions."""
    condition = Condition.parse("description=*[ap]*")
    assert condition.match(Traits(description=("Thorax [AP]",))) == "*[AP]*"
    assert condition.match(Traits(description=("Thorax PA",))) is None
