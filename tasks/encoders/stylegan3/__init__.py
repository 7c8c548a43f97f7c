"""The alias-free generator of StyleGAN3 (Karras et al., NeurIPS 2021), written from its maths."""
