"""Pure rules of serving: what a request must be, which versions to load, how a warm-up file reads."""
