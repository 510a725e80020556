"""Our own HTTP and operator clients."""
