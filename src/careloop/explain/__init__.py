"""Why a customer was, or was not, contacted: the decisions of a day in words."""
