"""StyleKernel (Xu, Long and Nie, CVPR 2023): an implementation of its idea; see NOTES.md."""
