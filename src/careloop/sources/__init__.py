"""Sources: any CRM export or database, mapped to the canonical entities by ``source.yml``."""
