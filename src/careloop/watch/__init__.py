"""Watch: the open cases of service computed anew between two refreshes, in a warehouse apart."""

from careloop.watch.run import Watched, watch

__all__ = ["Watched", "watch"]
