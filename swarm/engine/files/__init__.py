"""Model files as they lie on the disk: containers, names, shapes."""
