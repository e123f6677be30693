"""Clean sets on disk: Arrow files of encoded images."""
