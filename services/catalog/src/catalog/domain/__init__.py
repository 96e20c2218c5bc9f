"""Events and the rules for changing them: pure decisions, no I/O."""
