"""The words, envelopes and plumbing that two or more parts use."""
