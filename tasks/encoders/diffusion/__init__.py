"""Latent diffusion models in diffusers' layout: found, opened frozen, and their texts encoded."""
