"""Write to the audit table who looked at an image or a study."""

from api.access import Principal
from api.context import ApiContext
from api.recent_reads import Kind
from db import ledger


def note_read(context: ApiContext, principal: Principal, kind: Kind, name: int | str) -> None:
    """Store that a caller read an image or a study, at most once a minute for each of them. Raises database errors.

    A browser reads a page, its pictures and its data together, and a client may poll a result several times a second.
    One row per minute is enough to show who looked at what, and it saves database writes.
    """
    caller, now = principal.reference, context.clock()
    if not context.recent_reads.add(caller, kind, name, now):
        return
    try:
        ledger.note_read(context.database, kind, name, actor=principal.name, now=now)
    except Exception:
        context.recent_reads.forget(caller, kind, name)
        raise
