"""MMIST: any number of texts and pictures as one style, by cross-modal GAN inversion (Wang et al., WACV 2024)."""
