"""Training: the ELBO, the data on the device, the Lightning module, checkpoints."""
