"""Complete the ground truth of an image for the labels of networks."""

from collections.abc import Mapping, Sequence


def complete_truth(truth: Mapping[str, bool], labels: Sequence[str], normal_label: str | None) -> dict[str, bool]:
    """Return the truth of each label that follows from the labels that are known; empty if none of them is.

    If a label is true, labels that are not mentioned are absent, as in `models evaluate --night`. If all findings are
    denied, the normal label is true. Of other labels nothing is known.
    """
    known = {label: present for label, present in truth.items() if label in labels or label == normal_label}
    if any(known.values()):
        return {**dict.fromkeys(labels, False), **known}
    findings = [label for label in labels if label != normal_label]
    if known and normal_label is not None and all(label in known for label in findings):
        return {normal_label: True, **known}
    return known
