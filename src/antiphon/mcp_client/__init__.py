"""Reaches MCP servers over HTTP, and no address but those that the operator allows."""
