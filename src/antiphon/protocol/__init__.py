"""The wire: every event, item, session object and REST shape of the Realtime API as msgspec types.

One source of truth for the server, the Python client and the browser client. Nothing here knows of engines or sessions.
"""
