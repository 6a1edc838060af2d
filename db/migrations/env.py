"""Run the migrations on the connection that db.schema passes to Alembic."""

from alembic import context

from db.store_tables import receipts

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=receipts.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
