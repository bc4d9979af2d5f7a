"""Ingest: offer every source's files to the lake, batch by batch."""
