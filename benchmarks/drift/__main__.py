"""Print the false alarms of drift, how soon it finds changes, and what it costs: `python -m benchmarks.drift`."""

import argparse
import sys

import numpy as np

from benchmarks.drift.cost import costs
from benchmarks.drift.simulation import Populations, changes, draw_night, draw_reference, false_alarms, found_by_night
from benchmarks.servers import database_url_for

_REFERENCE = 2000
_SEED = 2026


def main(arguments: list[str]) -> int:
    """Simulate nights, and print three tables. Returns the exit code: 1 if a goal is missed."""
    options = _parser().parse_args(arguments)
    if options.cost_only:
        _cost(options)
        return 0
    populations = Populations.make(options.studies, seed=1)
    alarms = _false_alarms(populations, options)
    missed = _changes(populations, options)
    _cost(options)
    return int(alarms > 0.01 or missed > 0)


def _cost(options: argparse.Namespace) -> None:
    print(f"\nus of processor time per image over {options.images_of_cost:,} images, {options.database}:")
    with database_url_for(options.database) as url:
        for step, microseconds in costs(options.images_of_cost, url).items():
            print(f"  {step}: {microseconds:.1f}")


def _false_alarms(populations: Populations, options: argparse.Namespace) -> float:
    alarms = beyond = compared = 0
    for number in range(options.references):
        rng = np.random.default_rng([_SEED, number])
        reference = draw_reference(populations.usual, _REFERENCE, rng)
        nights = [draw_night(reference, populations.usual, options.images, rng) for _ in range(options.nights)]
        alarms += false_alarms(nights)
        beyond += sum(any(each.exceeds for each in night) for night in nights)
        compared += len(nights)
    print(f"stationary nights of {options.images} images: {compared}")
    print(f"  with a difference beyond its limit: {beyond}\n  with an alarm: {alarms}")
    return alarms / compared


def _changes(populations: Populations, options: argparse.Namespace) -> int:
    missed = 0
    print(f"\nchanges in nights of {options.images} images: found after night 1 / night 2 / not, of {options.repeat}")
    for prevalence, is_goal in ((0.2, True), (0.1, False)):
        for name, (studies, after) in changes(populations, prevalence).items():
            if not is_goal and studies is not populations.usual:
                continue
            found = {1: 0, 2: 0, None: 0}
            for number in range(options.repeat):
                rng = np.random.default_rng([_SEED, number, 2])
                reference = draw_reference(populations.usual, _REFERENCE, rng, prevalence)
                first, second = (draw_night(reference, studies, options.images, rng, after) for _ in range(2))
                found[found_by_night(first, second)] += 1
            missed += found[None] if is_goal else 0
            print(f"  {name}: {found[1]} / {found[2]} / {found[None]}", flush=True)
    return missed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.add_argument("--images", type=int, default=500, help="images of a night [%(default)s]")
    parser.add_argument("--nights", type=int, default=100, help="stationary nights per reference [%(default)s]")
    parser.add_argument("--references", type=int, default=3, help="references [%(default)s]")
    parser.add_argument("--repeat", type=int, default=20, help="repetitions of each change [%(default)s]")
    parser.add_argument("--studies", type=int, default=1200, help="studies of the population [%(default)s]")
    parser.add_argument("--images-of-cost", type=int, default=4000, help="images of the cost [%(default)s]")
    parser.add_argument("--cost-only", action="store_true", help="measure the cost and simulate nothing")
    parser.add_argument(
        "--database", choices=["SQLite", "PostgreSQL"], default="SQLite", help="database of the cost [%(default)s]"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
