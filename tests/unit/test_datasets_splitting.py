"""Patients and images are assigned to parts by a hash and nothing else."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.datasets.splitting import TEST, THREE_WAYS, TRAIN, TRAINING_ONLY, VALIDATION, assign_parts, hold_out

_GROUPS = st.dictionaries(
    st.text(min_size=1, max_size=6), st.frozensets(st.integers(0, 3), min_size=1, max_size=3), min_size=1, max_size=40
)


@given(groups=_GROUPS, seed=st.integers(0, 2**32), order=st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_order_of_files_changes_nothing(groups: dict[str, frozenset[int]], seed: int, order: object) -> None:
    """Any order of files gives the same parts, and each group is in exactly one part."""
    keys = list(groups)
    order.shuffle(keys)  # type: ignore[attr-defined]
    parts = assign_parts(groups, seed=seed)
    assert parts == assign_parts({key: groups[key] for key in keys}, seed=seed)
    assert parts.keys() == groups.keys()


@given(groups=_GROUPS, seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_every_label_has_training_groups(groups: dict[str, frozenset[int]], seed: int) -> None:
    """If each group has one label, no label is only in validation and test."""
    single = {key: frozenset([min(labels)]) for key, labels in groups.items()}
    parts = assign_parts(single, seed=seed)
    trained = {label for key, labels in single.items() for label in labels if parts[key] == TRAIN}
    assert trained == {label for labels in single.values() for label in labels}


@given(seed=st.integers(0, 2**32), each=st.integers(3, 12), labels=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_three_patients_with_a_label_are_enough_for_all_parts(seed: int, each: int, labels: int) -> None:
    """In small data sets, each part gets each label."""
    groups = {f"{label}/{number}": frozenset([label]) for label in range(labels) for number in range(each)}
    parts = assign_parts(groups, seed=seed)
    for label in range(labels):
        assert {parts[key] for key, held in groups.items() if label in held} == {TRAIN, VALIDATION, TEST}


@given(seed=st.integers(0, 2**32), more=st.integers(1, 500))
@settings(max_examples=20, deadline=None)
def test_a_growing_data_set_keeps_its_test_part(seed: int, more: int) -> None:
    """New patients do not move other patients between parts."""
    groups = {str(number): frozenset([number % 2]) for number in range(400)}
    grown = groups | {f"new {number}": frozenset([number % 2]) for number in range(more)}
    before, after = assign_parts(groups, seed=seed), assign_parts(grown, seed=seed)
    assert all(after[key] == part for key, part in before.items())


def test_large_data_sets_are_split_by_the_shares() -> None:
    """20,000 groups are split 70/15/15 within two percentage points; another seed gives another split."""
    groups = {str(number): frozenset([0]) for number in range(20_000)}
    parts = np.array(list(assign_parts(groups, seed=0).values()))
    np.testing.assert_allclose(np.bincount(parts) / len(parts), THREE_WAYS, atol=0.02)
    assert (parts != np.array(list(assign_parts(groups, seed=1).values()))).mean() > 0.3


def test_a_given_test_part_gets_nothing_from_training() -> None:
    """If the test part is official, only a validation part is split off from training."""
    groups = {str(number): frozenset([number % 3]) for number in range(30)}
    assert set(assign_parts(groups, seed=0, shares=TRAINING_ONLY).values()) == {TRAIN, VALIDATION}


def test_equal_images_are_held_out_together() -> None:
    """The position of an image depends on its content: at most the pair on the border is separated, here none."""
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4), np.uint8)
    kept, held_out = hold_out(np.concatenate([images, images]), seed=0, share=0.25)
    assert (len(kept), len(held_out)) == (60, 20)
    assert set(kept % 40).isdisjoint(held_out % 40)
