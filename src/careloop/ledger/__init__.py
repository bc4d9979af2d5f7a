"""The ledger: what was planned, what became of it, what came back, and whom not to write to.

The warehouse can be rebuilt; the ledger can't. Every change of a message's state is one
transaction that also writes the event."""
