"""InST: a painting learned as a word of a diffusion model, and contents painted with it."""
