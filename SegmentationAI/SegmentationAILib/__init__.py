"""Plain-Python imaging pipeline of ThoraxAI: geometry, files, preprocessing, organs."""

__version__ = "0.1.0"
