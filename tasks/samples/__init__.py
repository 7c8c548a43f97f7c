"""Pictures that come with the project: photographs to try things on, and styles drawn by programs."""
