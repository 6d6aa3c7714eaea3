"""Data: raw files to cases, cases to a store, a store to windows of frames.

One file per dataset reads the official layout; ``salstm.data.datasets`` is the registry. Importing
this package imports nothing else.
"""
