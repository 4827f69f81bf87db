"""A pytest plugin: a test that leaves a process behind fails, by name, and what it left is ended."""
