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
        ("rows!=2047", "2048"),
        ("rows=2047", None),
        ("rows<=2047", None),
        ("rows>=2047", "2048"),
        ("columns>=1901", None),
        ("image_type=*L,*Y", "ORIGINAL"),
        (" modality= DX , CR ", "CR"),
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
        ("modality = CR", "is not a condition. Write for example"),
        ("colour=red", "colour=red: unknown field colour. Known fields: source"),
        ("modality>=3", "only rows and columns are numbers"),
        ("modality<=3", "only rows and columns are numbers"),
        ("rows>=many", "must be compared with one integer"),
        ("rows=512,1024", "must be compared with one integer"),
        ("columns=, ", "columns must be compared with one integer"),
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


def test_a_rule_is_built_from_its_texts() -> None:
    """The conditions, the role and the id come from the database."""
    found = Rule.from_texts(bundle="chest@1", role="shadow", conditions=["modality=CR", "rows>=512"], route_id=7)
    assert (found.bundle, found.role, found.route_id) == ("chest@1", Role.SHADOW, 7)
    assert [str(condition) for condition in found.when] == ["modality=CR", "rows>=512"]
    assert found.match(CHEST) == {"modality": "CR", "rows": "2048"}
    assert found.match(CHEST._replace(rows=511)) is None


def test_a_rule_of_model_has_the_role_answer_and_no_id() -> None:
    """`--model NAME` creates it from the name alone, and it matches every image."""
    only = Rule(bundle="phantom@1")
    assert (only.role, only.when, only.route_id) == (Role.ANSWER, (), None)
    assert only.match(Traits()) == {}


def test_all_conditions_of_a_rule_must_hold() -> None:
    """The first, the second, or both may fail."""
    both = rule("chest@1", "modality=CR", "view=PA")
    assert both.match(CHEST) == {"modality": "CR", "view": "PA"}
    for other in ({"modality": ("CT",)}, {"view": ("LL",)}, {"modality": (), "view": ()}):
        assert both.match(CHEST._replace(**other)) is None


def test_each_bundle_is_named_once() -> None:
    """Two rules may send different images to one bundle."""
    rules = Rules([rule("a@1", "modality=CR"), rule("b@1"), rule("a@1", "modality=DX")])
    assert rules.bundles == ("a@1", "b@1")


def test_a_bundle_is_a_shadow_if_only_shadow_rules_name_it() -> None:
    """Rules of other bundles do not count; one rule with another role ends the trial."""
    rules = Rules(
        [
            rule("new@1", "modality=CR", role=Role.SHADOW),
            rule("new@1", "modality=DX", role=Role.SHADOW),
            rule("old@1", "modality=CR"),
            rule("old@1", "modality=DX", role=Role.SHADOW),
        ]
    )
    assert rules.is_shadow("new@1")
    assert not rules.is_shadow("old@1")


def test_only_the_first_answer_is_taken_but_every_further_and_shadow_rule() -> None:
    """The order of the rules is kept within each role."""
    roles = (Role.SHADOW, Role.FURTHER, Role.ANSWER)
    rules = Rules([rule(f"{role}{number}@1", role=role) for number in range(2) for role in roles])
    bundles = [match.bundle for match in rules.choose(CHEST)]
    assert bundles == ["answer0@1", "further0@1", "further1@1", "shadow0@1", "shadow1@1"]


@pytest.mark.parametrize(
    ("values", "matched"),
    [(("SCOUT", "LOCALIZER"), None), (("SCOUT",), "not LOCALIZER,AXIAL"), ((), "not LOCALIZER,AXIAL")],
)
def test_a_negated_condition_holds_if_no_value_matches_any_pattern(
    values: tuple[str, ...], matched: str | None
) -> None:
    """One value of several that matches is enough to fail it."""
    assert Condition.parse("image_type!=localizer,axial").match(Traits(image_type=values)) == matched


def test_a_value_is_compared_as_a_whole() -> None:
    """A pattern without a wildcard matches neither a part of a value nor a longer one."""
    assert Condition.parse("body_part=CHE").match(CHEST) is None
    assert Condition.parse("body_part=CHESTS").match(CHEST) is None
