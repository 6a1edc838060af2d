"""Requirements such as `auc>=0.9` are read, and figures are compared with them."""

import pytest
from scored_images import binary, make_postprocessing, make_scored, make_sigmoid

from models.evaluation.measure import Evaluation, measure
from models.evaluation.requirements import Requirement
from nightread.errors import UsageFault

LABELS = ("clear", "nodule")


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Two of three nodules are found, and there is one false alarm among five clear images."""
    scores = (0.9, 0.8, 0.3, 0.7, 0.4, 0.2, 0.1, 0.05)
    return measure(make_postprocessing(), binary((1, 1, 1, 0, 0, 0, 0, 0), scores), rounds=200)


@pytest.mark.parametrize(
    ("text", "value", "met"),
    [
        ("accuracy>=0.75", 0.75, True),
        ("accuracy > 0.75", 0.75, False),
        ("auc>=.9", 13 / 15, False),
        ("macro_roc_auc>=0.8", 13 / 15, True),
        ("recall[nodule]>=0.6", 2 / 3, True),
        ("sensitivity[nodule]>=0.7", 2 / 3, False),
        ("specificity[nodule]>=8e-1", 0.8, True),
        ("specificity[clear]<0.8", 2 / 3, True),
        ("images>=500", 8, False),
        ("images[nodule]>=3", 3, True),
        ("calibration_error<=1", None, True),
    ],
)
def test_figures_are_compared_with_their_limits(
    evaluation: Evaluation, text: str, value: float | None, met: bool
) -> None:
    """Names are those of evaluation.json, or their short forms."""
    result = Requirement.parse(text, LABELS).check(evaluation)
    assert (result.requirement, result.met) == (text, met)
    assert result.value == pytest.approx(evaluation.reliability.ece if value is None else value)


def test_an_end_of_the_interval_can_be_required(evaluation: Evaluation) -> None:
    """A small test set has a wide interval, so that its figure alone proves little."""
    low, high = (Requirement.parse(f"accuracy.{end}>=0.6", LABELS).check(evaluation) for end in ("low", "high"))
    interval = evaluation.intervals["accuracy"]
    assert (low.value, high.value) == (interval.low, interval.high)
    assert (low.met, high.met) == (False, True)
    nodule = Requirement.parse("recall[nodule].low>=0.1", LABELS).check(evaluation)
    assert nodule.value == evaluation.classes[1].intervals["recall"].low


def test_an_undefined_figure_is_not_met() -> None:
    """Without a clear image there is no ROC-AUC, and nothing was shown."""
    only_nodules = measure(make_postprocessing(), binary((1,) * 5, (0.9,) * 5), rounds=200)
    result = Requirement.parse("auc<=1", LABELS).check(only_nodules)
    assert (result.value, result.met) == (None, False)


def test_a_label_may_hold_brackets() -> None:
    """The label ends at the last bracket."""
    labels = ("mass [left]", "fracture")
    postprocessing = make_sigmoid(labels=labels, thresholds=dict.fromkeys(labels, 0.5))
    evaluation = measure(postprocessing, make_scored([(1, 0), (0, 1)] * 4, [(0.9, 0.1), (0.1, 0.9)] * 4), rounds=200)
    result = Requirement.parse("recall[mass [left]]>=1", labels).check(evaluation)
    assert (result.label, result.met) == ("mass [left]", True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("auc", "this is not a requirement. Examples: auc>=0.9"),
        ("auc=0.9", "this is not a requirement"),
        ("auc>=90%", "this is not a requirement"),
        ("beauty>=1", "there is no figure beauty; use accuracy, label_accuracy, auc"),
        ("loss[nodule]<1", "there is no figure loss of a label; use auc"),
        ("specificity>=0.9", r"specificity needs a label, for example specificity\[nodule\]"),
        ("recall[mass]>=0.9", "there is no label mass; the labels are clear, nodule"),
        ("loss.low<=1", "loss has no interval. Leave out .low"),
        ("specificity[nodule].low>=0.9", "specificity has no interval"),
    ],
)
def test_a_wrong_requirement_is_wrong_usage(text: str, message: str) -> None:
    """It is found before anything is measured."""
    with pytest.raises(UsageFault, match=message):
        Requirement.parse(text, LABELS)
