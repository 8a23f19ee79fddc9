"""The law-suite, the in-memory cluster and the checkers, shipped for users of the kernel."""
