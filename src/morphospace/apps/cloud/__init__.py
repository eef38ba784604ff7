"""Other people's machines and disks: the bucket and how DVC is told of it, an S3 server, a rented GPU."""
