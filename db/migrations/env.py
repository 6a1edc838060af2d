"""Run the migrations on the connection that db.schema passes to Alembic."""

from alembic import context

import db.alarm_tables
import db.series_tables
import db.store_tables
import db.tables

# These modules add their tables to the metadata.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=db.tables.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
