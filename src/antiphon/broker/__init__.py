"""The endpoint that an application puts between its browsers and a Realtime server."""
