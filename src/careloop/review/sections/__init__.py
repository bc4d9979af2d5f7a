"""The parts of the review, one module each: `build(reader) -> Section`."""
