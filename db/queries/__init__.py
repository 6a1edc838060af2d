"""Read the database for people and programs; no query writes.

`__init__.pyi` lists the names and their modules; each is imported when it is first used (nightread.lazy_exports).
"""

from nightread.lazy_exports import export_lazily

export_lazily(__name__)
