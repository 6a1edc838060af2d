"""Provide the ledger, the only writer of work: register, dispatch, claim, record, sweep (docs/ledger.md).

`__init__.pyi` lists the names and their modules; a module is imported when a name of it is first used
(nightread.lazy_exports).
"""

from nightread.lazy_exports import export_lazily

export_lazily(__name__)
