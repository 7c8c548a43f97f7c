"""CLIPstyler: Kwon and Ye, Image Style Transfer with a Single Text Condition, CVPR 2022."""
