"""Images by their headers: format, size, orientation, colour and cost, without decoding a pixel.

Standard library only.
"""
