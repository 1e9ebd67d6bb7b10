"""Measurements of a whole server from outside: ``make bench``. They report; nothing depends on them."""
