"""Regions of composite styles: how a content is laid out among the references of a style."""
