"""When and where stages run: Prefect only."""
