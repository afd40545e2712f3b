"""What runs a bundle, and where it comes from."""
