"""The library's commands, a module per group; imports of the heavy libraries happen inside them."""
