"""One customer on one page: what to show, where it comes from, and how it looks."""
