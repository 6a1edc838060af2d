"""Read the results of two models for the same images, with their ground truth, and compare them."""

from collections.abc import Sequence
from dataclasses import dataclass

from db import queries
from db.engine import Database
from db.queries import ComparedImage, ImageFilter
from db.queries.bundles import BundleLabels, bundles_by_id
from models.comparison.compare import compare_results
from models.comparison.ground_truth import complete_truth
from models.comparison.values import NetworkLabels, NightComparison, PairedResult
from nightread.errors import UsageFault


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """A comparison, and how many images only one of the models has analysed."""

    comparison: NightComparison
    only_first: int
    only_second: int


def compare_stored(database: Database, wanted: ImageFilter, first: str, second: str) -> Compared:
    """Compare the stored results of two models, each `NAME[@VERSION]`, on the images that match the filter.

    Raises UsageFault if no image matches, if a model has no results for the images, or if both names mean the same
    model.
    """
    image_ids = queries.image_ids(database, wanted)
    if not image_ids:
        raise UsageFault("No image matches the filters: choose another night or fewer conditions.")
    (first_id, before), (second_id, after) = (_registered(database, name, image_ids) for name in (first, second))
    if first_id == second_id:
        raise UsageFault(f"{first} and {second} are the same model: name two different models.")
    found = queries.compared_images(database, image_ids, first_id, second_id)
    truths = _truths(database, wanted, (before, after))
    results = [_paired(image, truths.get(image.image_id, {})) for image in found.images]
    comparison = compare_results(_labels(before), _labels(after), results)
    return Compared(comparison=comparison, only_first=found.only_first, only_second=found.only_second)


def _registered(database: Database, name: str, image_ids: Sequence[int]) -> tuple[int, BundleLabels]:
    """Return the bundle with this name and results for these images; if there are several, the last registered one."""
    with database.read() as connection:
        known = bundles_by_id(connection)
    matching = [bundle_id for bundle_id, each in known.items() if name in (each.name, f"{each.name}@{each.version}")]
    with_results = queries.results_of_bundles(database, image_ids, matching)
    if not with_results:
        others = queries.results_of_bundles(database, image_ids, list(known))
        names = ", ".join(sorted(f"{known[each].name}@{known[each].version}" for each in others)) or "none"
        raise UsageFault(
            f"{name} has no results for the chosen images; models with results for them: {names}. "
            f"`nightread rerun --model {name}` with the same filters analyses these images."
        )
    newest = max(with_results)
    return newest, known[newest]


def _truths(database: Database, wanted: ImageFilter, bundles: Sequence[BundleLabels]) -> dict[int, dict[str, bool]]:
    """Return by image id which labels of the bundles are true and which are false; unknown labels are left out."""
    labels = list(dict.fromkeys(label for bundle in bundles for label in bundle.labels))
    normal = next((bundle.normal_label for bundle in bundles if bundle.normal_label is not None), None)
    found = queries.results_with_truth(database, bundles[0].digest, since=wanted.since, until=wanted.until)
    return {result.image_id: complete_truth(result.truth, labels, normal) for result in found}


def _labels(bundle: BundleLabels) -> NetworkLabels:
    return NetworkLabels(
        reference=f"{bundle.name}@{bundle.version}",
        digest=bundle.digest,
        labels=bundle.labels,
        normal_label=bundle.normal_label,
    )


def _paired(image: ComparedImage, truth: dict[str, bool]) -> PairedResult:
    return PairedResult(
        image_id=image.image_id,
        patient=image.patient_key,
        strata={"modality": image.modality, "device": image.device, "view": image.view},
        labels=(image.first.label, image.second.label),
        scores=(image.first.scores, image.second.scores),
        suspicion=(image.first.suspicion, image.second.suspicion),
        truth=truth,
    )
