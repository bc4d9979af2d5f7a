"""Quality gates: what must hold of the data at the two boundaries, raw entities and marts.

Expectations are declared in files (``declared``), checked before anything runs, compiled to
Great Expectations and pushed down to DuckDB (``engine``), together with the pack's limits on
freshness and volume (``limits``). Results become a table and a page (``results``, ``report``).
"""
