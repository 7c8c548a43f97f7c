"""Procedural renderers: a photograph as a watercolour, a mosaic, a neon sign and many more, to teach a CLIP from."""
