"""What every room uses: clear errors, commands, tables with contracts, the database."""
