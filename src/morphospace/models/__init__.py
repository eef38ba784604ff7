"""Models, one file each: build(channels, size, z_dim, **options)."""
