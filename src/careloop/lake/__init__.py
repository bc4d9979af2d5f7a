"""The raw lake: immutable Parquet batches, and what holds among their rows."""
