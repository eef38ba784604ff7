"""Shapes of objects: mask, contour, distance matrix, autoencoder, and the descriptors that it must beat."""
