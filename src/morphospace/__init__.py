"""morphospace: from microscope plates to a latent space of cell morphology."""
