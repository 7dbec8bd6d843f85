"""Qt pieces that both panels are put together from."""
