"""Raw files and weights: found, downloaded, unpacked."""
