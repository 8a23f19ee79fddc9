"""What every processor is and how its records are handled, decided without I/O."""
