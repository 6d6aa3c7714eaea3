"""Do SALSTM and LSTMSA help? The library behind the comparison; importing it loads no torch."""

__version__ = "0.1.0"
