"""The HTTP edge: takes cases in, shows what became of them."""
