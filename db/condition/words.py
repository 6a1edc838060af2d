"""Name the kinds of parts for people."""

from db.ledger import PartKind

NAMES = {
    PartKind.SUPERVISOR: "nightread up",
    PartKind.WATCHER: "watcher",
    PartKind.RECEIVER: "receiver",
    PartKind.POLLER: "poller",
    PartKind.DISPATCHER: "dispatcher",
    PartKind.WORKER: "worker",
    PartKind.SENDER: "sender",
    PartKind.WATCHDOG: "watchdog",
    PartKind.API: "API",
    PartKind.FLOWER: "Flower",
    PartKind.REDIS: "Redis",
}
"""The name of each kind of part, as it stands in a sentence."""
