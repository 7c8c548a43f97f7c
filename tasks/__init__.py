"""How it is done: readers, methods, actors, stores and sinks."""
