"""What the rules have in store for one customer."""
