"""Get archives: descriptors, mirrors, Hugging Face."""
