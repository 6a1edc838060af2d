"""Say in one line of `nightread status` how many images of a re-run wait."""

from cli.wording import counted
from db.queries import WaitingRerun


def rerun_line(rerun: WaitingRerun) -> str:
    """Return a line such as `Re-run 12 with chest@2.1: 340 of 2,000 images are waiting.`"""
    name = "Re-run" if rerun.number is None else f"Re-run {rerun.number}"
    all_images = "" if rerun.images is None else f"{rerun.waiting:,} of "
    images = counted(rerun.waiting if rerun.images is None else rerun.images, "image")
    return f"{name} with {rerun.model}: {all_images}{images} {'is' if rerun.waiting == 1 else 'are'} waiting."
