"""The Prefect flow and what follows it: publish, artifacts, notify."""
