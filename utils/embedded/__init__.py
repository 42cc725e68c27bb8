"""Data that is on every machine after install, one module per family. Imported by chapters and recipes."""
