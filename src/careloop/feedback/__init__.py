"""What comes back: receipts, bounces, replies, unsubscribes, and what follows from them."""

from careloop.feedback.imports import Imported, import_receipts
from careloop.feedback.receipts import KINDS, Receipt
from careloop.feedback.record import Recorded, record

__all__ = ["KINDS", "Imported", "Receipt", "Recorded", "import_receipts", "record"]
