"""Runs in a process of their own: a crash, a kill or a cancel there never takes the caller with it."""
