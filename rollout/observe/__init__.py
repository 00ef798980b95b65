"""Read through the ports, and parse only what is used."""
