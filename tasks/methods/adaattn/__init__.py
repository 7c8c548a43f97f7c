"""AdaAttN (Liu et al., ICCV 2021): attention-weighted statistics; the baseline that MMIST stands on."""
