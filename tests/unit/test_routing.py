"""Routing rules choose bundles by header values, in their order."""

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
    """Build a rule from conditions as a user writes them."""
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
def test_a_condition_returns_what_matched(text: str, matched: str | None) -> None:
    """One of several values is enough, case does not matter, and for free text only the pattern is returned."""
    assert Condition.parse(text).match(CHEST) == matched


@pytest.mark.parametrize("text", ["rows>=1", "modality=*", "view=PA", "rows=1", "description=*"])
def test_an_absent_value_matches_only_a_negated_condition(text: str) -> None:
    """An image without a view is not PA."""
    assert Condition.parse(text).match(Traits()) is None
    assert Condition.parse("view!=PA").match(Traits()) == "not PA"
    assert Condition.parse("rows!=512").match(Traits()) == "absent"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modality", "is not a condition. Write for example"),
        ("colour=red", "colour=red: unknown field colour. Known fields: source"),
        ("modality>=3", "only rows and columns are numbers"),
        ("rows>=many", "must be compared with one integer"),
        ("modality=,", "the value is missing"),
    ],
)
def test_an_invalid_condition_is_refused(text: str, message: str) -> None:
    """The message names the text and the remedy."""
    with pytest.raises(UsageFault, match=message):
        Condition.parse(text)


@pytest.mark.parametrize("text", ["modality=CR,DX", "rows>=512", "image_type!=LOCALIZER"])
def test_a_condition_is_unchanged_when_it_is_stored(text: str) -> None:
    """The database stores the condition as text."""
    assert str(Condition.parse(text)) == text


def test_the_first_matching_answer_wins_and_other_roles_follow() -> None:
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


def test_without_an_answer_the_first_further_rule_is_the_answer() -> None:
    """An image that a rule matches is not rejected because of the role of the rule."""
    (match,) = Rules([rule("tubes@1", role=Role.FURTHER)]).choose(CHEST)
    assert not match.shadow


def test_a_bundle_analyses_an_image_once() -> None:
    """The role answer wins over the role shadow, in any order of the rules."""
    rules = Rules([rule("a@1", role=Role.SHADOW), rule("b@1", role=Role.FURTHER), rule("a@1", "modality=CR")])
    assert [(match.bundle, match.shadow) for match in rules.choose(CHEST)] == [("a@1", False), ("b@1", False)]


def test_an_image_that_no_rule_matches_gets_no_bundle() -> None:
    """There is no default bundle."""
    assert Rules([rule("ct@1", "modality=CT")]).choose(CHEST) == ()
    assert Rules([]).choose(CHEST) == ()


def test_headers_are_read_only_if_a_rule_has_a_condition() -> None:
    """Routing costs nothing if one bundle analyses all images."""
    assert not Rules([rule("any@1")]).needs_headers
    assert Rules([rule("any@1"), rule("ct@1", "modality=CT")]).needs_headers


def test_brackets_in_patterns_are_literal() -> None:
    """Only `*` and `?` are wildcards, because scanners write brackets into descriptions."""
    condition = Condition.parse("description=*[ap]*")
    assert condition.match(Traits(description=("Thorax [AP]",))) == "*[AP]*"
    assert condition.match(Traits(description=("Thorax PA",))) is None
