"""The report: one page, a model card per target and a terminal table, from records only."""
