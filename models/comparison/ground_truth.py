"""Complete the ground truth of an image for the labels of networks."""

from collections.abc import Mapping, Sequence


def complete_truth(truth: Mapping[str, bool], labels: Sequence[str], normal_label: str | None) -> dict[str, bool]:
    """Return the truth of each label that is known or follows from known labels; empty if no label is known.

    If a label is true, labels that are not mentioned count as false, as in `models evaluate --night`. If all findings
    are false, the normal label is true. For any other label nothing is returned.
    """
    known = {label: present for label, present in truth.items() if label in labels or label == normal_label}
    if any(known.values()):
        return {**dict.fromkeys(labels, False), **known}
    findings = [label for label in labels if label != normal_label]
    if known and normal_label is not None and all(label in known for label in findings):
        return {normal_label: True, **known}
    return known
