"""Several models side by side: one protocol, one table, one page."""
