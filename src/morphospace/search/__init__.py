"""Search of a latent space: embeddings, tags and crops in an embedded vector database."""
