"""How fast careloop is, against reading the bytes, hand-written SQL, polars and pandas."""
