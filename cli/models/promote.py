"""Define `nightread models promote` and `rollback`: replace a model in its rules, and undo this."""

from dataclasses import asdict
from typing import Any

import click

from cli.comparing.results import Compared, compare_stored
from cli.comparing.tables import show_compared
from cli.filters import chosen_images, with_filters
from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.inputs.user import user_name
from cli.models.activate import require_same_folder, rules_named
from cli.models.register import register_bundle
from cli.models.route import warn_of_fixed_model
from cli.models.routing_table import rule_json, rules_of, show_rules
from cli.output.console import err, out, print_json
from cli.wording import counted
from db import ledger, queries
from db.engine import Database
from models.bundle import Bundle
from models.catalogue import bundle_of_result, find_bundle
from nightread.clock import utc_now
from nightread.errors import UsageFault


@with_filters
@click.command("promote")
@click.argument("new", metavar="NEW")
@click.option("--replaces", "old", required=True, metavar="OLD", help="The model that NEW replaces in all rules.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; needs --yes.")
@state_options
def promote_command(new: str, old: str, yes: bool, as_json: bool, **options: Any) -> None:
    """Compare two models, and replace the old model by the new model in its rules.

    The results of both models for the chosen images are compared as in `nightread compare`. After your confirmation,
    NEW replaces OLD in all routing rules of OLD, and the audit table keeps the figures of the comparison. `nightread
    models rollback NEW` undoes the replacement.

    \b
    Examples: nightread rerun --model chest@2.1 --night last --shadow
              nightread models promote chest@2.1 --replaces chest@2.0 --night last
              nightread models rollback chest@2.1
    """  # noqa: D301 - click reads the backspace itself
    if as_json and not yes:
        raise UsageFault("--json cannot ask for confirmation: add --yes.")
    chosen = chosen_images(options)
    settings = chosen.settings
    warn_of_fixed_model(settings)
    bundle = find_bundle(new, settings.bundle_folders)
    with open_existing_database(settings) as database, one_line_errors():
        replaced = _only_bundle(database, old)
        compared = compare_stored(database, chosen.filter(database, _tell), replaced, bundle.reference)
        _require_evidence(compared, bundle)
        if not as_json:
            show_compared(compared)
        if not yes:
            click.confirm(f"Use {bundle.reference} instead of {replaced} in all its rules?", abort=True, err=True)
        because = {"promoted": bundle.reference, "replaced": replaced, "images": chosen.description}
        evidence = {"replaced_digest": compared.comparison.first.digest, "comparison": _figures(compared)}
        number = _replace(database, bundle, replaced, because | evidence)
        rules = rules_of(queries.routes_in_force(database))
    if as_json:
        print_json({**because, "comparison": _figures(compared), "rules": [rule_json(rule) for rule in rules]})
        return
    out.print(f"{bundle.reference} replaces {replaced} in {counted(number, 'rule')}.")
    show_rules(rules)


@click.command("rollback")
@click.argument("name", metavar="NAME[@VERSION]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def rollback_command(name: str, as_json: bool, **options: Any) -> None:
    """Undo the promotion of a model: the model that it replaced is used again.

    Results stay as they are. The folder of the earlier model must still be on this host and on the hosts of workers.

    Example: nightread models rollback chest@2.1
    """
    settings = settings_from(**options)
    warn_of_fixed_model(settings)
    with open_existing_database(settings) as database, one_line_errors():
        active = _only_bundle(database, name)
        promotion = queries.last_promotion(database, active)
        if promotion is None:
            raise UsageFault(
                f"{active} was never promoted by `nightread models promote`, so the earlier model is not known. To go "
                f"back, run `nightread models activate OLD --replaces {active}`, with the earlier model as OLD."
            )
        bundle = bundle_of_result(promotion.old, promotion.old_digest, settings.bundle_folders)
        if bundle is None:
            raise UsageFault(
                f"The folder of {promotion.old} (digest {promotion.old_digest[:12]}...) was not found: copy it back to "
                "`bundles` in the state folder, or to a folder of NIGHTREAD_BUNDLE_DIRS."
            )
        number = _replace(database, bundle, active, {"rolled_back": active})
        rules = rules_of(queries.routes_in_force(database))
    if as_json:
        print_json({"rolled_back": active, "active": bundle.reference, "rules": [rule_json(rule) for rule in rules]})
        return
    out.print(f"{bundle.reference} is used again instead of {active}, in {counted(number, 'rule')}.")
    show_rules(rules)


def _only_bundle(database: Database, reference: str) -> str:
    """Return the model that the rules for this name use. Raises UsageFault if they use no model or several models."""
    named = sorted({route.bundle for route in rules_named(database, reference)})
    if len(named) > 1:
        raise UsageFault(f"Rules name several versions: {', '.join(named)}. Give one of these.")
    return named[0]


def _require_evidence(compared: Compared, bundle: Bundle) -> None:
    """Raise UsageFault if the comparison has no image, or is about another bundle than the one to promote."""
    if compared.comparison.second.digest != bundle.digest:
        raise UsageFault(
            f"The results of {bundle.reference} come from another bundle with this name and version: "
            f"analyse the images again with `nightread rerun --model {bundle.reference}`."
        )
    if not compared.comparison.images:
        raise UsageFault(
            "No image has results of both models, so there is nothing to compare: "
            f"run `nightread rerun --model {bundle.reference} --night last --shadow` first."
        )


def _replace(database: Database, bundle: Bundle, replaced: str, because: dict[str, Any]) -> int:
    require_same_folder(database, bundle, replaced)
    now, actor = utc_now(), user_name()
    new_id = register_bundle(database, bundle)
    old_ids = {route.bundle_id for route in rules_named(database, replaced)}
    return sum(
        ledger.replace_bundle(database, old_id, new_id, actor=actor, now=now, because=because) for old_id in old_ids
    )


def _figures(compared: Compared) -> dict[str, Any]:
    """Return the figures of the comparison without its list of images."""
    of = compared.comparison
    return {
        "images": of.images,
        "patients": of.patients,
        "flips": len(of.flips),
        "discordance": [asdict(one) for one in of.discordance],
        "agreement": of.agreement,
        "kappa": asdict(of.kappa),
        "areas": [asdict(one) for one in of.areas],
    }


def _tell(note: str) -> None:
    err.print(note, markup=False, style="yellow")
