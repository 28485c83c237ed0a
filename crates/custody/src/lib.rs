//! Who owns what: marks of a run's kernel objects, files and processes, and their removal.
