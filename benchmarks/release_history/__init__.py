"""The repository whose releases ``benchmarks/layering.py`` replays, with its real metadata."""
