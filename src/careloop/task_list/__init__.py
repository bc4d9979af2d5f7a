"""The follow-up list of the team: what the ledger has for people to do."""
