"""What the server and the application's endpoint share: hosts and origins, errors in the API's shape."""
