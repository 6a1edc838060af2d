"""The predictions of the networks become the answer, the further answers, and the remarks of their image."""

from typing import Any

import pytest
from batch_results import BUNDLE_IDS, FACTS, FILE, claimed, match, outcome_of, parsed, prediction, results_of

from db.ledger import FramePrediction
from db.tables import State
from imaging.remarks import Remark
from models.routing import Role
from nightread.errors import ImageError, RejectImage, RetryImage
from nightread.reasons import Reason


def test_an_answer_has_all_of_its_values() -> None:
    """The values of the header that the rule matched are stored with its id."""
    image = claimed(1)
    results = results_of(image)
    rule = match("answer@1", conditions=("modality=CR",), route_id=5)
    results.add_predictions([parsed(image, rule)], {"answer@1": {1: prediction("nodule", 0.75)}})
    outcome = outcome_of(results)
    assert (outcome.state, outcome.bundle_id, outcome.route_id) == (State.DONE, 11, 5)
    assert (outcome.label, outcome.score, outcome.scores) == ("nodule", 0.75, [0.25, 0.75])
    assert outcome.frames == (FramePrediction(frame=0, label="nodule", score=0.75, scores=[0.25, 0.75]),)
    assert (outcome.matched, outcome.facts, outcome.further) == ({"modality": "CR"}, FACTS, ())
    assert (outcome.content, outcome.annotations) == (FILE.content, None)


def test_a_rule_without_conditions_stores_no_values_of_the_header() -> None:
    """Neither with the answer nor with a further one."""
    image = claimed(1)
    results = results_of(image)
    predictions = {name: {1: prediction("nodule", 0.75)} for name in BUNDLE_IDS}
    results.add_predictions([parsed(image, match("answer@1"), match("further@1", Role.FURTHER))], predictions)
    outcome = outcome_of(results)
    assert (outcome.matched, outcome.further[0].matched) == (None, None)


def test_further_and_shadow_answers_are_stored_with_the_answer() -> None:
    """Each has its bundle, its rule and its role; one that failed has only its reason."""
    image = claimed(1)
    results = results_of(image)
    matches = (
        match("answer@1"),
        match("further@1", Role.FURTHER, conditions=("modality=CR",), route_id=8),
        match("shadow@1", Role.SHADOW, route_id=9),
    )
    predictions: dict[str, Any] = {
        "answer@1": {1: prediction("clear", 0.25)},
        "further@1": {1: prediction("nodule", 0.75)},
        "shadow@1": {1: ImageError(Reason.BAD_SCORES)},
    }
    results.add_predictions([parsed(image, *matches)], predictions)
    further, shadow = outcome_of(results).further
    assert (further.bundle_id, further.shadow, further.route_id, further.reason) == (12, False, 8, None)
    assert (further.label, further.score, further.scores) == ("nodule", 0.75, [0.25, 0.75])
    assert (further.matched, len(further.frames)) == ({"modality": "CR"}, 1)
    assert (shadow.bundle_id, shadow.shadow, shadow.route_id, shadow.reason) == (13, True, 9, Reason.BAD_SCORES)
    assert (shadow.label, shadow.score, shadow.scores, shadow.frames) == (None, None, None, ())


def test_an_image_that_only_shadow_rules_take_is_rejected_with_their_answers() -> None:
    """The first of them is no answer either."""
    image = claimed(1)
    results = results_of(image)
    matches = match("shadow@1", Role.SHADOW), match("further@1", Role.SHADOW)
    predictions = {name: {1: prediction("nodule", 0.75)} for name in ("shadow@1", "further@1")}
    results.add_predictions([parsed(image, *matches)], predictions)
    outcome = outcome_of(results)
    assert (outcome.state, outcome.reason, outcome.content) == (State.REJECTED, Reason.NO_MODEL, FILE.content)
    assert [(one.bundle_id, one.shadow) for one in outcome.further] == [(13, True), (12, True)]


def test_a_network_without_a_result_gives_its_image_the_error() -> None:
    """The further answers of a failed image are kept, and those of one that is retried are not."""
    failed, again = claimed(1), claimed(2)
    results = results_of(failed, again)
    matches = match("answer@1"), match("further@1", Role.FURTHER)
    predictions: dict[str, Any] = {
        "answer@1": {1: ImageError(Reason.BAD_SCORES), 2: RetryImage(Reason.OUT_OF_MEMORY)},
        "further@1": {1: prediction("nodule", 0.75), 2: prediction("nodule", 0.75)},
    }
    results.add_predictions([parsed(failed, *matches), parsed(again, *matches)], predictions)
    first, second = results.outcomes
    assert (first.state, first.reason, len(first.further)) == (State.FAILED, Reason.BAD_SCORES, 1)
    assert (first.content, first.bundle_id, first.score) == (FILE.content, None, None)
    assert (second.state, second.reason, second.further) == (State.RECEIVED, Reason.OUT_OF_MEMORY, ())


def test_a_result_has_the_remarks_of_its_image() -> None:
    """The answer and the further answer have the same ones, and an image without any has none."""
    first, second = claimed(1), claimed(2)
    results = results_of(first, second)
    matches = match("answer@1"), match("further@1", Role.FURTHER)
    images = [parsed(first, *matches), parsed(second, *matches)]
    images[0].remarks.add(Remark.ANY_DOMAIN, "Not checked.")
    predictions = {name: {number: prediction("nodule", 0.75) for number in (1, 2)} for name in BUNDLE_IDS}
    results.add_predictions(images, predictions)
    with_remarks, without = results.outcomes
    assert (with_remarks.remarks, with_remarks.detail) == ("any_domain", "Not checked.")
    assert (with_remarks.further[0].remarks, with_remarks.further[0].detail) == ("any_domain", "Not checked.")
    assert (without.remarks, without.detail) == (None, None)


def test_only_the_model_at_whose_edge_an_image_lies_says_so() -> None:
    """The remark is that of one prediction and not of the image."""
    image = claimed(1)
    results = results_of(image)
    matches = match("answer@1"), match("further@1", Role.FURTHER)
    predictions = {"answer@1": {1: prediction("nodule", 0.75)}, "further@1": {1: prediction("a", 0.5, near_edge=True)}}
    results.add_predictions([parsed(image, *matches)], predictions)
    outcome = outcome_of(results)
    assert (outcome.remarks, outcome.further[0].remarks) == (None, "near_domain_edge")
    assert outcome.further[0].detail == Remark.NEAR_DOMAIN_EDGE.message


@pytest.mark.parametrize("refused", ["answer@1", "further@1"])
def test_a_model_that_was_not_made_for_the_image_gives_its_reason(refused: str) -> None:
    """The other model, which was, gives its prediction."""
    image = claimed(1)
    results = results_of(image)
    matches = match("answer@1"), match("further@1", Role.FURTHER)
    reason = RejectImage(Reason.OUT_OF_DOMAIN, "Modality MR.")
    predictions = {name: {1: prediction("nodule", 0.75)} for name in ("answer@1", "further@1") if name != refused}
    results.add_predictions([parsed(image, *matches)._replace(refused={refused: reason})], predictions)
    outcome = outcome_of(results)
    if refused == "answer@1":
        assert (outcome.state, outcome.reason, outcome.detail) == (
            State.REJECTED,
            Reason.OUT_OF_DOMAIN,
            "Modality MR.",
        )
        assert outcome.further[0].label == "nodule"
    else:
        assert (outcome.state, outcome.label) == (State.DONE, "nodule")
        assert (outcome.further[0].reason, outcome.further[0].detail) == (Reason.OUT_OF_DOMAIN, "Modality MR.")
