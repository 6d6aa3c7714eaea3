"""Raw files to cases, a module a dataset; the formats they share."""
