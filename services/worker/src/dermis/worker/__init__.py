"""The worker: decodes, judges, hashes and prepares images, and turns them and the answers into an outcome."""
