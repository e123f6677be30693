"""Layer specifications turned into modules, backbones and weights files."""
