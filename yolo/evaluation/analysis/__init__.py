"""Measures of detections: COCO AP, intervals, errors, calibration, confusion."""
