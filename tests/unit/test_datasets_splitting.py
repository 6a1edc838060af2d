"""Patients and images are torn apart by a hash, and by nothing else."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.datasets.splitting import TEST, THREE_WAYS, TRAIN, TRAINING_ONLY, VALIDATION, assign, take_out

_GROUPS = st.dictionaries(
    st.text(min_size=1, max_size=6), st.frozensets(st.integers(0, 3), min_size=1, max_size=3), min_size=1, max_size=40
)


@given(groups=_GROUPS, seed=st.integers(0, 2**32), order=st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_order_of_files_changes_nothing(groups: dict[str, frozenset[int]], seed: int, order: object) -> None:
    """A folder that is listed in another order gives the same parts, and each group is in exactly one."""
    keys = list(groups)
    order.shuffle(keys)  # type: ignore[attr-defined]
    parts = assign(groups, seed=seed)
    assert parts == assign({key: groups[key] for key in keys}, seed=seed)
    assert parts.keys() == groups.keys()


@given(groups=_GROUPS, seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_every_label_is_taught(groups: dict[str, frozenset[int]], seed: int) -> None:
    """Where each group has one label, no label is left to validation and test alone."""
    single = {key: frozenset([min(labels)]) for key, labels in groups.items()}
    parts = assign(single, seed=seed)
    taught = {label for key, labels in single.items() for label in labels if parts[key] == TRAIN}
    assert taught == {label for labels in single.values() for label in labels}


@given(seed=st.integers(0, 2**32), each=st.integers(3, 12), labels=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_three_patients_with_a_label_are_enough_for_all_parts(seed: int, each: int, labels: int) -> None:
    """Small sets get every label in every part."""
    groups = {f"{label}/{number}": frozenset([label]) for label in range(labels) for number in range(each)}
    parts = assign(groups, seed=seed)
    for label in range(labels):
        assert {parts[key] for key, held in groups.items() if label in held} == {TRAIN, VALIDATION, TEST}


@given(seed=st.integers(0, 2**32), more=st.integers(1, 500))
@settings(max_examples=20, deadline=None)
def test_a_set_that_grows_keeps_its_test_part(seed: int, more: int) -> None:
    """New patients move nobody from the test part to training."""
    groups = {str(number): frozenset([number % 2]) for number in range(400)}
    grown = groups | {f"new {number}": frozenset([number % 2]) for number in range(more)}
    before, after = assign(groups, seed=seed), assign(grown, seed=seed)
    assert all(after[key] == part for key, part in before.items())


def test_large_sets_are_split_as_the_shares_say() -> None:
    """Within two percent of 70/15/15 over 20,000 groups; another seed is another split."""
    groups = {str(number): frozenset([0]) for number in range(20_000)}
    parts = np.array(list(assign(groups, seed=0).values()))
    np.testing.assert_allclose(np.bincount(parts) / len(parts), THREE_WAYS, atol=0.02)
    assert (parts != np.array(list(assign(groups, seed=1).values()))).mean() > 0.3


def test_a_given_test_part_gets_nothing_from_training() -> None:
    """Only a validation part is taken out of training where the test part is official."""
    groups = {str(number): frozenset([number % 3]) for number in range(30)}
    assert set(assign(groups, seed=0, shares=TRAINING_ONLY).values()) == {TRAIN, VALIDATION}


def test_equal_images_are_taken_out_together() -> None:
    """The place of an image is that of its content: of 40 pairs at most the one on the border is torn."""
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4), np.uint8)
    stays, taken = take_out(np.concatenate([images, images]), seed=0, share=0.25)
    assert (len(stays), len(taken)) == (60, 20)
    assert set(stays % 40).isdisjoint(taken % 40)
