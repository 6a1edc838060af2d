"""Print a comparison of two models as tables."""

from cli.comparing.results import Compared
from cli.output.console import out
from cli.output.tables import make_table, show
from cli.wording import counted
from models.comparison.figures import figure, interval, p_value, signed
from models.comparison.values import NightComparison

_FLIPS_SHOWN = 20


def show_compared(compared: Compared) -> None:
    """Print tables: what one or both models found, agreement, scores, ground truth, images with different labels."""
    of = compared.comparison
    patients = f" of {counted(of.patients, 'patient')}" if of.patients is not None else ""
    out.print(f"{counted(of.images, 'image')}{patients} with results of both models.")
    if compared.only_first or compared.only_second:
        out.print(
            f"Left out: {counted(compared.only_first, 'image')} with a result of {of.first.reference} only, "
            f"{counted(compared.only_second, 'image')} with a result of {of.second.reference} only."
        )
    if not of.images:
        return
    out.print(f"Differences: {of.second.reference} minus {of.first.reference}, with 95 % intervals.")
    for table in (_discordance, _agreement, _scores, _areas, _flips):
        table(of)


def _discordance(of: NightComparison) -> None:
    headings = (f"only {of.first.reference}", f"only {of.second.reference}", "both", "neither", "difference")
    right = (*headings, "95 % interval", "McNemar p")
    table = make_table(out, "question", *right, right=right)
    for one in of.discordance:
        counts = (one.counts.only_first, one.counts.only_second, one.counts.both, one.counts.neither)
        numbers = [f"{number:,}" for number in counts]
        span = interval((one.low, one.high), sign=True)
        table.add_row(one.question, *numbers, signed(one.difference), span, p_value(one.mcnemar_p))
    show(out, table)
    out.print()


def _agreement(of: NightComparison) -> None:
    right = ("images", "different", "same label", "kappa", "95 % interval")
    table = make_table(out, "images of", "", *right, right=right)
    different = f"{len(of.flips):,}"
    table.add_row(
        "all", "", f"{of.images:,}", different, figure(of.agreement), figure(of.kappa.value), interval(of.kappa)
    )
    for one in of.strata:
        table.add_row(
            one.kind,
            "not stated" if one.value is None else one.value,
            f"{one.images:,}",
            f"{one.flips:,}",
            figure(one.agreement),
            figure(one.kappa.value),
            interval(one.kappa),
        )
    show(out, table)
    out.print()


def _scores(of: NightComparison) -> None:
    right = ("images", "Pearson", "Spearman", "mean shift", "95 % interval", "largest change")
    table = make_table(out, "score", *right, right=right)
    for one in of.shifts:
        table.add_row(
            one.label,
            f"{one.images:,}",
            figure(one.pearson.value),
            figure(one.spearman.value),
            signed(one.shift.value),
            interval(one.shift, sign=True),
            figure(one.largest),
        )
    show(out, table)
    out.print()


def _areas(of: NightComparison) -> None:
    if not of.areas:
        return
    networks = (f"AUC {of.first.reference}", f"AUC {of.second.reference}")
    right = ("with it", "without", *networks, "difference", "95 % interval", "p")
    table = make_table(out, "ground truth", *right, right=right)
    for one in of.areas:
        areas = one.areas
        table.add_row(
            one.label,
            f"{areas.with_finding:,}",
            f"{areas.without_finding:,}",
            figure(areas.first),
            figure(areas.second),
            signed(areas.difference),
            interval((areas.low, areas.high), sign=True),
            p_value(areas.p),
        )
    show(out, table)
    out.print()


def _flips(of: NightComparison) -> None:
    if not of.flips:
        out.print("Both models give every image the same label.")
        return
    truth = ("true",) if of.with_truth else ()
    table = make_table(
        out,
        *("image", of.first.reference, "score", of.second.reference, " score", "change", "modality", "device", "view"),
        *truth,
        right=("image", "score", " score", "change"),
    )
    for flip in of.flips[:_FLIPS_SHOWN]:
        table.add_row(
            str(flip.image_id),
            flip.first_label or "",
            figure(flip.first_score),
            flip.second_label or "",
            figure(flip.second_score),
            figure(flip.change),
            *(each or "" for each in (flip.modality, flip.device, flip.view)),
            *([flip.truth or ""] if truth else []),
        )
    show(out, table)
    if len(of.flips) > _FLIPS_SHOWN:
        out.print(f"The first {_FLIPS_SHOWN} of {len(of.flips):,} flips; --format csv lists all.")
