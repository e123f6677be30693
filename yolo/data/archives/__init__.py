"""Read tar, zip and parquet files in place."""
