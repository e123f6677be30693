"""YOLO v1 (arXiv 1506.02640): the library behind the pipeline."""
