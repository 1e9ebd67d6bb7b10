"""A black-box suite: does any server at an address speak the Realtime API?"""
