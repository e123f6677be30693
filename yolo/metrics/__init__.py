"""Average precision by the VOC protocols."""
